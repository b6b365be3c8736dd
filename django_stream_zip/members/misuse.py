"""What is written by mistake, and what to write instead.

Each table names wrong values for one argument, in the order in which they are looked for, and the
right call. A value that is in no table passes: storages, files and requests may be of any class
that behaves like Django's. Nothing here runs for right values but one test of their class.
"""

from __future__ import annotations

import errno
import inspect
import io
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import wraps
from itertools import product
from types import NoneType
from typing import Any, Final, ParamSpec, SupportsIndex, TypeAlias, TypeVar

from django.core.files.base import File
from django.core.files.storage import Storage
from django.db.models import FileField, Model, QuerySet
from django.db.models.fields.files import FieldFile, FileDescriptor
from django.db.models.manager import BaseManager
from django.db.models.query import RawQuerySet
from django.db.models.query_utils import DeferredAttribute
from django.utils.functional import Promise

from django_stream_zip.engine.errors import not_a_name, not_a_time, shortened
from django_stream_zip.engine.members import WHOLE, check_types, unpacked
from django_stream_zip.engine.methods import Method

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")

# What a wrong value is known by, what it is called, and what to write instead. Each may be the text
# itself or make it of the value.
_Text: TypeAlias = str | Callable[[Any], str]
_Table: TypeAlias = Sequence[tuple[Callable[[Any], bool], _Text, _Text]]


def _is(*classes: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, classes)


def _is_model_class(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Model)


def _is_request(value: Any) -> bool:
    return hasattr(value, "META") and hasattr(value, "method")  # REST framework's, too


def _is_member(value: Any) -> bool:
    is_five = isinstance(value, tuple) and len(value) == 5
    return is_five and isinstance(value[0], str) and not isinstance(value[4], str)


def _is_list_of(*classes: type) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list | tuple) and any(isinstance(item, classes) for item in value)
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str | Promise)


def _is_open_file(value: Any) -> bool:
    # Not asked of the value: a FieldFile without a file would raise.
    return isinstance(value, File | io.IOBase) or hasattr(type(value), "read")


def _class_name(value: Any) -> str:
    return type(value).__name__


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _a_class(value: Any) -> str:
    return _article(_class_name(value))


def _all_rows(value: Any) -> str:
    """Return how to write all rows of a model class or of a manager."""
    if (instance := getattr(value, "instance", None)) is not None:
        relation = getattr(value, "prefetch_cache_name", None)
        relation = relation or value.field.remote_field.accessor_name
        return f"{instance._meta.model_name}.{relation}.all()"
    model = value if isinstance(value, type) else value.model
    return f"{model.__name__}.objects.all()"


def _of_rows(value: Any) -> str:
    return f"queryset_members({_all_rows(value)})"


def _field_of(instance: Model) -> str:
    """Return how to write the file of an instance: with the name of its field, if it has one."""
    fields = [field.name for field in instance._meta.fields if isinstance(field, FileField)]
    return f"{instance._meta.model_name}.{fields[0] if fields else 'file'}"


def _field_file(field_file: FieldFile) -> str:
    model = field_file.instance._meta.model_name if field_file.instance is not None else "instance"
    return f"{model}.{field_file.field.name}"


def _member_of_instance(instance: Model) -> str:
    return f"field_member({_field_of(instance)})"


def _member_of_field(field_file: FieldFile) -> str:
    return f"field_member({_field_file(field_file)})"


def _members_of_rows(rows: Sequence[Any]) -> str:
    row = next(row for row in rows if isinstance(row, Model))
    name = row._meta.model_name
    return f"[field_member({_field_of(row)}) for {name} in …]"


def _descriptor(value: Any) -> str:
    """Return how to write what the attribute of a model class is for its instances."""
    field = value.field
    model = getattr(field, "model", None)
    name = model._meta.model_name if model is not None else "instance"
    return f"{name}.{field.name}"


def _awaited(coroutine: Any) -> str:
    coroutine.close()  # nobody else will, and Python would warn of that
    return f"await {coroutine.__name__}(…)"


def _called(function: Any) -> str:
    return f"{getattr(function, '__name__', 'members')}()"


def _is_function(value: Any) -> bool:
    return inspect.isroutine(value)


_COROUTINE: Final = (inspect.iscoroutine, "a coroutine", _awaited)
_DESCRIPTORS: Final = _is(FileDescriptor, DeferredAttribute)
_UPLOAD: Final = "bytes_member(file.read(), file.name)"

_REQUESTS: Final[_Table] = (
    (
        lambda value: hasattr(value, "request"),
        _a_class,
        "zip_response(self.request, members)",
    ),
    (lambda value: True, _a_class, "zip_response(request, members)"),
)

_MEMBERS: Final[_Table] = (
    (_is_request, _a_class, "zip_response(request, members), in this order"),
    (_is(QuerySet), "a QuerySet", "queryset_members(queryset, …)"),
    (_is(RawQuerySet), "a RawQuerySet", "queryset_members(queryset, …) with a QuerySet"),
    (_is(BaseManager), "a manager", _of_rows),
    (_is_model_class, lambda model: f"the model {model.__name__}", _of_rows),
    (_is(Model), _a_class, lambda value: f"[{_member_of_instance(value)}]"),
    (_is(FieldFile), "a FieldFile", lambda value: f"[{_member_of_field(value)}]"),
    (_is_member, "a single member", "[member]"),
    (_is_text, "text", "[file_member(path)] or [bytes_member(data, name)]"),
    (_is(os.PathLike), _a_class, "[file_member(path)]"),
    (_is(bytes, bytearray, memoryview), _class_name, "[bytes_member(data, name)]"),
    (_is(Mapping), _a_class, "[bytes_member(data, name) for name, data in files.items()]"),
    (_is_open_file, _a_class, f"[{_UPLOAD}]"),
    _COROUTINE,
    (_is_function, "a function that isn't called", _called),
)

_MEMBER: Final[_Table] = (
    (_is(Model), _a_class, _member_of_instance),
    (_is(FieldFile), "a FieldFile", _member_of_field),
    (_is(QuerySet), "a QuerySet", "*queryset_members(queryset, …)"),
    (_is_text, "text", "file_member(path) or bytes_member(data, name)"),
    (_is(os.PathLike), _a_class, "file_member(path)"),
    (_is(bytes, bytearray, memoryview), _class_name, "bytes_member(data, name)"),
    (_is_open_file, _a_class, _UPLOAD),
    _COROUTINE,
    (_is_function, "a function that isn't called", _called),
    (lambda value: isinstance(value, list) and any(map(_is_member, value)), "a list", "*members"),
)

_FIELD_FILES: Final[_Table] = (
    (_is(Model), _a_class, _member_of_instance),
    (_is_model_class, lambda model: f"the model {model.__name__}", _of_rows),
    (_is(QuerySet), "a QuerySet", "queryset_members(queryset, …)"),
    (_is(BaseManager), "a manager", _of_rows),
    (
        _DESCRIPTORS,
        "the attribute of a model class",
        lambda value: f"field_member({_descriptor(value)}) with an instance",
    ),
    (_is_text, "text", "field_member(instance.file), storage_member(storage, stored_name)"),
    (_is(File), _a_class, _UPLOAD),
    (_is(Storage), "a storage", "storage_member(storage, stored_name)"),
    (_is(os.PathLike), _a_class, "file_member(path)"),
    (_is_open_file, _a_class, "file_member(path) or bytes_member(file.read(), name)"),
    (lambda value: value is None, "None", "field_member(instance.file)"),
)

_PATHS: Final[_Table] = (
    (_is(FieldFile), "a FieldFile", _member_of_field),
    (_is(Model), _a_class, _member_of_instance),
    (_is(File), _a_class, _UPLOAD),
    (
        _is_open_file,
        "an open file",
        lambda file: (
            "file_member(file.name)"
            if isinstance(getattr(file, "name", None), str)
            else "bytes_member(file.read(), name)"
        ),
    ),
    (_is(bytes, bytearray, memoryview), _class_name, "bytes_member(data, name)"),
    (lambda value: not isinstance(value, str | os.PathLike), _a_class, "file_member(path)"),
)

_DATA: Final[_Table] = (
    (_is_text, "text", "bytes_member(text.encode(), name)"),
    (_is(FieldFile), "a FieldFile", _member_of_field),
    (_is_open_file, _a_class, "bytes_member(file.read(), name)"),
    (_is(os.PathLike), _a_class, "file_member(path)"),
    (_is(Model), _a_class, _member_of_instance),
)

_STORAGES: Final[_Table] = (
    (_is(FieldFile), "a FieldFile", _member_of_field),
    (_is_text, "text", 'storage_member(storages["default"], stored_name)'),
    (_is_model_class, lambda model: f"the model {model.__name__}", _of_rows),
    (_is(Model), _a_class, _member_of_instance),
    (
        lambda value: isinstance(value, type) and issubclass(value, Storage),
        "a class",
        lambda cls: f"storage_member({cls.__name__}(…), stored_name)",
    ),
)

_STORED_NAMES: Final[_Table] = (
    (_is(FieldFile), "a FieldFile", _member_of_field),
    (_is(os.PathLike), _a_class, "storage_member(storage, str(path)), with a relative path"),
    (lambda value: not isinstance(value, str), _a_class, "storage_member(storage, stored_name)"),
)

_QUERYSETS: Final[_Table] = (
    (_is_model_class, lambda model: f"the model {model.__name__}", _of_rows),
    (_is(BaseManager), "a manager", _of_rows),
    (_is(Model), _a_class, _member_of_instance),
    (_is(FieldFile), "a FieldFile", _member_of_field),
    (_is_list_of(Model), _a_class, _members_of_rows),
    (_is_text, "text", "queryset_members(Model.objects.all())"),
    (_is(RawQuerySet), "a RawQuerySet", "queryset_members(queryset) with a QuerySet"),
    (_is_request, _a_class, "queryset_members(queryset)"),
    (lambda value: not hasattr(value, "query"), _a_class, "queryset_members(queryset)"),
)

_FILENAMES: Final[_Table] = (
    (_is(bytes), "bytes", "filename=name.decode()"),
    (_is(os.PathLike), _a_class, "filename=path.name"),
    (lambda value: value is None, "None", 'filename="archive.zip"'),
    (lambda value: True, _a_class, 'filename="archive.zip"'),
)


def refuse(expected: str, value: Any, table: _Table) -> None:
    """Raise TypeError where a value is in the table; do nothing where it isn't."""
    if said := _said(expected, value, table):
        raise TypeError(said)


def _said(expected: str, value: Any, table: _Table) -> str | None:
    for is_it, what, instead in table:
        if is_it(value):
            got, call = (text if isinstance(text, str) else text(value) for text in (what, instead))
            return f"expected {expected}, got {got}; use {call}"
    return None


# What the builders and the response check.


def check_request(request: Any, members: Any) -> None:
    """Raise TypeError where a request is none, such as where it comes second."""
    if not hasattr(request, "META"):
        refuse("members", members, _MEMBERS[:1])
        refuse("a request", request, _REQUESTS)


def check_members(members: Any) -> None:
    """Raise TypeError where something else is given for members."""
    if members.__class__ is list:
        return
    refuse("members", members, _MEMBERS)
    if not (hasattr(members, "__iter__") or hasattr(members, "__aiter__")):
        raise TypeError(f"expected members, got {_a_class(members)}; use a list of members")


def check_filename(filename: Any) -> None:
    """Raise TypeError where the name of an archive is no text."""
    if not _is_text(filename):
        refuse("filename to be text", filename, _FILENAMES)


def checked_values(member: Any) -> tuple[Any, ...]:
    """Return the five values of a member. Raise ZipValueError or TypeError if it isn't one."""
    if member.__class__ is tuple and len(member) == 5:
        name, modified_at, mode, method, content = member
        if (
            name.__class__ is str
            and modified_at.__class__ is datetime
            and mode.__class__ is int
            and isinstance(method, Method)
            and content.__class__ not in WHOLE
            and (hasattr(content, "__iter__") or hasattr(content, "__aiter__"))
        ):
            return member  # as most are
    if not isinstance(member, tuple):
        refuse("a member", member, _MEMBER)
    values = unpacked(member)
    if not _is_text(values[0]):
        raise not_a_name(values[0])
    check_types(*values)
    return values


def check_time(name: str, modified_at: Any) -> None:
    """Raise TypeError where a time is no datetime."""
    if not isinstance(modified_at, datetime):
        raise not_a_time(name, modified_at)


def check_known(name: str, known: tuple[Any, Any, Any, Any]) -> None:
    """Raise TypeError where what a row, a caller or a storage says of a file can't be that.

    What is known are the values of a `Metadata`.
    """
    size, crc_32, modified_at, validator = known
    if (size.__class__, crc_32.__class__, modified_at.__class__, validator.__class__) in _USUAL:
        return
    for value, (what, kind, expected) in zip(known, _KNOWN, strict=True):
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"the {what} of {shortened(name)} must be {expected}, not "
                f"{_class_name(value)} ({shortened(value)})"
            )


_KNOWN: Final[tuple[tuple[str, type, str], ...]] = (
    ("size", SupportsIndex, "a number of bytes (an integer)"),
    ("crc_32", SupportsIndex, "an integer"),
    ("modified_at", datetime, "a datetime"),
    ("validator", str, "text"),
)
# Their types in nearly all cases: to ask whether a value is a SupportsIndex takes 7 microseconds.
_USUAL: Final = frozenset(
    product((int, NoneType), (int, NoneType), (datetime, NoneType), (str, NoneType))
)


def check_field_file(field_file: Any) -> None:
    """Raise TypeError where something else is given for the file of an instance."""
    if not isinstance(field_file, FieldFile):
        refuse("the file of an instance", field_file, _FIELD_FILES)


def check_path(path: Any) -> None:
    """Raise TypeError where something else is given for the path of a file."""
    if path.__class__ is not str:
        refuse("a path", path, _PATHS)


def is_a_directory(path: str) -> IsADirectoryError:
    """Return the error for a directory of which a member is to be made."""
    instead = f"{os.strerror(errno.EISDIR)}; use file_member(path, name) for each file in it"
    return IsADirectoryError(errno.EISDIR, instead, path)


def not_bytes(data: Any, name: Any) -> TypeError:
    """Return the error for data that aren't bytes."""
    if isinstance(data, str) and isinstance(name, bytes | bytearray | memoryview):
        return TypeError("expected bytes, got text; use bytes_member(data, name), in this order")
    said = _said("bytes", data, _DATA) or (
        f"data must be bytes, not {_class_name(data)} (for an iterable of bytes, use the tuple "
        "(name, modified_at, mode, method, chunks) instead)"
    )
    return TypeError(f"member {shortened(name)}: {said}")


def check_stored(storage: Any, stored_name: Any) -> None:
    """Raise TypeError where these are no storage and no name in it."""
    if isinstance(storage, str) and isinstance(stored_name, Storage):
        raise TypeError(
            "expected a storage, got text; use storage_member(storage, stored_name), in this order"
        )
    if not isinstance(storage, Storage):
        refuse("a storage", storage, _STORAGES)
    if stored_name.__class__ is not str:
        refuse("a stored name", stored_name, _STORED_NAMES)


def check_queryset(value: Any) -> None:
    """Raise TypeError where this is no QuerySet."""
    if not isinstance(value, QuerySet):
        refuse("a QuerySet", value, _QUERYSETS)


def check_rows(queryset: Any, file_fields: tuple[Any, ...], name: Any) -> None:
    """Raise TypeError where these are no rows of a model, or no names of fields."""
    check_queryset(queryset)
    if getattr(queryset, "_fields", None) is not None:
        raise TypeError(
            "expected a QuerySet of instances, got one of values; use queryset_members(queryset) "
            "without values(), values_list() or dates()"
        )
    for field in file_fields:
        if not isinstance(field, str):
            raise TypeError(_not_a_field(field))
    if not (name is None or isinstance(name, str) or callable(name)):
        raise TypeError(
            f"expected name to be text or a callable, got {_a_class(name)}; "
            'use name="title", name="{title}{ext}" or name=lambda instance: …'
        )


def _not_a_field(field: Any) -> str:
    """Return what is wrong with what is no name of a field, and the names that it stands for."""
    given = field if isinstance(field, list | tuple | set) else [field]
    names = [getattr(getattr(name, "field", name), "name", name) for name in given]
    quoted = [f'"{name}"' if isinstance(name, str) else '"file"' for name in names]
    return (
        f"expected the names of file fields, got {_a_class(field)}; "
        f"use queryset_members({', '.join(['queryset', *quoted])})"
    )


def no_field(model: type[Model], path: str, related: Any, part: str) -> ValueError:
    """Return the error for a path of which a part is no field, with the name that comes near."""
    meta = getattr(related, "_meta", None)
    names = [field.name for field in meta.get_fields()] if meta else []
    near = get_close_matches(part, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ValueError(f"{model._meta.label} has no field {path!r}{hint}")


def no_file_field(model: type[Model], path: str) -> ValueError:
    """Return the error for a field that holds no files, with those that do."""
    names = [field.name for field in model._meta.get_fields() if isinstance(field, FileField)]
    known = (
        f"its file fields are {', '.join(names)}"
        if names
        else "if it holds stored names, as rows of a history do, pass storage=…"
    )
    return ValueError(f"{model._meta.label}.{path} is not a FileField; {known}")


def with_hints(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """Name the option that comes near where a function is called with one that it doesn't take.

    As Python does itself since 3.13.
    """
    known = list(inspect.signature(function).parameters)

    @wraps(function)
    def called(*args: _Parameters.args, **options: _Parameters.kwargs) -> _Returned:
        for option in options.keys() - set(known):
            near = get_close_matches(option, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}"
            raise TypeError(f"{function.__name__}() has no option {option!r}{hint}")
        return function(*args, **options)

    return called
