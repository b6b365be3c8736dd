"""Members from the rows of a queryset: which column is the file, which one names it.

One query for the columns that are needed, and no model instance is kept. Or, for more rows than
anybody wants in memory, one short query for each page of them.
"""

from __future__ import annotations

import inspect
import posixpath
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from string import Formatter
from typing import Any, Final, TypeAlias, get_args

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateTimeField, F, Field, FileField, IntegerField, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP

from django_stream_zip import conf, facts, threads
from django_stream_zip.engine.names import ManyNames
from django_stream_zip.members.collect import (
    SETTING,
    Collector,
    Limit,
    Missing,
    StoredFile,
    TooManyMembersError,
)
from django_stream_zip.members.member import AsyncContentMember, ContentMember
from django_stream_zip.members.on_loop import on_loop

Name: TypeAlias = str | Callable[..., str] | None
# A field's name, or one for each file field.
Fields: TypeAlias = str | Mapping[str, str] | None

_PAGE_LENGTH: Final = 1000


def queryset_members(
    queryset: QuerySet[Any],
    *file_fields: str,
    name: Name = None,
    size: Fields = None,
    crc_32: Fields = None,
    modified_at: Fields = None,
    compress: bool | None = None,
    decode: bool | None = None,
    missing: Missing = "raise",
    limit: int | Limit | None = SETTING,
    max_bytes: int | Limit | None = SETTING,
) -> list[ContentMember]:
    """Make a member of every file of a queryset's rows, with one query.

    `file_fields` name file fields, also across relations ("attachments__file"); the model's only
    one needn't be named. A row whose field is empty has no member there.

    `name` is the name of a field ("title", "folder__name") or attribute; or a format string such as
    "{folder.name}/{title}.pdf", in which {basename} is the stored file's name without its folders,
    {ext} its ending with the dot and {field} the file field's name; or a callable that is given the
    instance, and the stored name too if it takes two arguments. By default it is the base name.
    Names are made safe, and unique without regard to case.

    `size`, `crc_32` and `modified_at` name fields that hold these values, or map file fields to
    such: what they hold isn't asked of the storage. Columns of a `ZipFactsModel` needn't be named.
    `decode`: see `storage_member`. `missing`, `limit` and `max_bytes`: see `collect.Collector`.

    Raises ValueError where a field isn't what it should be; TooManyMembersError and
    TooManyBytesError over a limit; what the storage raises where a file is missing.
    """
    rows = _Rows(
        queryset, file_fields, name, size, crc_32, modified_at, with_own_facts=decode is None
    )
    collector = Collector(
        compress=compress, decode=decode, missing=missing, limit=limit, max_bytes=max_bytes
    )
    return list(collector.members(rows.files(queryset)))


def check_options(queryset: QuerySet[Any] | None, /, *file_fields: str, **options: Any) -> None:
    """Raise ValueError where `queryset_members` would refuse these options; without a query.

    Without a queryset, what they say of its fields isn't checked.
    """
    known = inspect.signature(queryset_members).parameters.keys() - {"queryset", "file_fields"}
    for unknown in sorted(options.keys() - known):
        close = get_close_matches(unknown, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
        raise ValueError(f"there is no option {unknown!r}: {hint}")
    missing, policies = options.get("missing", "raise"), get_args(Missing)
    if missing not in policies:
        raise ValueError(f"missing must be one of {', '.join(policies)}, not {missing!r}")
    if queryset is not None:
        columns = {key: options.get(key) for key in ("name", "size", "crc_32", "modified_at")}
        with_own_facts = options.get("decode") is None
        _Rows(queryset, file_fields, **columns, with_own_facts=with_own_facts)


async def aqueryset_members(
    queryset: QuerySet[Any], *file_fields: str, **options: Any
) -> list[ContentMember | AsyncContentMember]:
    """Do what `queryset_members` does, from an event loop.

    With the extra `async`, contents in S3, Google Cloud and Azure are asynchronous: read on the
    event loop, without threads. For such members the request has to come through ASGI.
    """

    def made() -> list[ContentMember | AsyncContentMember]:
        return [on_loop(member) for member in queryset_members(queryset, *file_fields, **options)]

    return await sync_to_async(made)()


def lazy_queryset_members(
    queryset: QuerySet[Any],
    *file_fields: str,
    name: Name = None,
    size: Fields = None,
    crc_32: Fields = None,
    modified_at: Fields = None,
    compress: bool | None = None,
    decode: bool | None = None,
    missing: Missing = "raise",
    limit: int | Limit | None = SETTING,
) -> Iterator[ContentMember]:
    """Make members while the archive is sent, ordered by primary key, in constant memory.

    There is a short query for each thousand rows, and between them no connection is held, so it
    works with ATOMIC_REQUESTS and behind pgbouncer. The archive has neither length nor ranges, and
    a missing file breaks it off unless `missing` says otherwise. The limit is checked now, by
    counting rows (files may be more or fewer), and MAX_BYTES doesn't apply. Else as
    `queryset_members`. Raises ValueError for a slice or a union.
    """
    rows = _Rows(
        queryset, file_fields, name, size, crc_32, modified_at, with_own_facts=decode is None
    )
    maximum = conf.get("MAX_MEMBERS") if isinstance(limit, Limit) else limit
    collector = Collector(
        compress=compress,
        decode=decode,
        missing=missing,
        limit=None,
        max_bytes=None,
        names=ManyNames(),
    )
    query = queryset.query
    if query.is_sliced or query.combinator:
        raise ValueError("a slice or a union can't be paged by primary key: filter instead")
    if maximum is not None and queryset.count() > maximum:
        raise TooManyMembersError(f"more than {maximum:,} files are too many to download")
    return collector.members(_paged_files(rows, queryset))


def _paged_files(rows: _Rows, queryset: QuerySet[Any]) -> Iterator[StoredFile]:
    """Give the files page by page, and the connection back before they are sent."""
    for page in _pages(queryset):
        files = list(rows.files(page))
        threads.release_connections()
        yield from files


def _pages(queryset: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
    """Give a queryset in pages of whole rows, by ranges of primary keys."""
    ordered = queryset.order_by("pk")
    last = None
    while True:
        following = ordered if last is None else ordered.filter(pk__gt=last)
        keys = list(following.values_list("pk", flat=True)[:_PAGE_LENGTH])
        if not keys:
            return
        last = keys[-1]
        yield following.filter(pk__lte=last)


class _Rows:
    """What to select of rows, and how a file's description is made of them."""

    def __init__(
        self,
        queryset: QuerySet[Any],
        file_fields: tuple[str, ...],
        name: Name,
        size: Fields,
        crc_32: Fields,
        modified_at: Fields,
        *,
        with_own_facts: bool,
    ) -> None:
        model = queryset.model
        self._file_fields = file_field_paths(model, file_fields)
        self._storages = {path: _file_field(model, path).storage for path in self._file_fields}
        # They are of what the storage's `open()` gives, and not of what is decoded otherwise.
        holders = self._file_fields if with_own_facts else ()
        by_fact = [
            _own_fact_fields(model, holders, fact)
            | _fact_fields(queryset, self._file_fields, fields, fact)
            for fact, fields in (("size", size), ("crc_32", crc_32), ("modified_at", modified_at))
        ]
        self._facts = {path: [fields.get(path) for fields in by_fact] for path in self._file_fields}
        self._name = _naming(queryset, name)
        # Whose file it is: by a join with many rows a file comes several times.
        self._owners = {path: _owner(path) for path in self._file_fields}
        self._joins_many = any(_is_to_many(model, path) for path in self._file_fields)
        owners = ["pk", *self._owners.values()] if self._joins_many else ()
        known = [fact for own in self._facts.values() for fact in own if fact]
        wanted = [*self._file_fields, *owners, *known, *self._name.columns]
        self._columns = list(dict.fromkeys(wanted))
        for path in self._columns:
            _check_path(queryset, path)
        for path, own in self._facts.items():
            for fact in filter(None, own):
                self._check_is_one(queryset, fact, (path,))
        for path in self._name.columns:
            self._check_is_one(queryset, path, self._file_fields)

    def files(self, queryset: QuerySet[Any]) -> Iterator[StoredFile]:
        """Give the files of all rows, each once, by one query."""
        seen = set()
        for values, instance in self._values(self._ordered(queryset)):
            for path in self._file_fields:
                stored_name = str(values[path] or "")
                if self._joins_many:
                    owner = path, values["pk"], values[self._owners[path]]
                    stored_name = "" if owner in seen else stored_name
                    seen.add(owner)
                if stored_name:
                    yield StoredFile(
                        self._storages[path],
                        stored_name,
                        _text(self._name.of(stored_name, path, values, instance)),
                        *[values[fact] if fact else None for fact in self._facts[path]],
                    )

    def _check_is_one(
        self, queryset: QuerySet[Any], path: str, file_fields: tuple[str, ...]
    ) -> None:
        """See that a fact or name has one value for a file, and doesn't multiply files."""
        if path in queryset.query.annotations or not _is_to_many(queryset.model, path):
            return
        relation = path.split(LOOKUP_SEP)[:-1]
        for file_field in file_fields:
            if file_field.split(LOOKUP_SEP)[: len(relation)] != relation:
                raise ValueError(f"{path!r} has many values for one file of {file_field!r}")

    def _ordered(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Order rows that the ordering leaves equal by primary key.

        The same archive has to have the same bytes when it is resumed. (What is sliced or combined
        can't be ordered any more.)
        """
        query = queryset.query
        default: Any = query.get_meta().ordering if query.default_ordering else ()
        ordering: Any = query.order_by or default
        if query.is_sliced and self._joins_many:
            # A slice of the rows, not of what they are joined to.
            pks = list(queryset.values_list("pk", flat=True))
            queryset = queryset.all()
            queryset.query.clear_limits()
            queryset = queryset.filter(pk__in=pks)
        elif query.is_sliced or query.combinator or query.distinct_fields or query.extra_order_by:
            return queryset
        owners = self._owners.values() if self._joins_many else ()
        return queryset.order_by(*dict.fromkeys([*ordering, "pk", *owners]))

    def _values(self, queryset: QuerySet[Any]) -> Iterator[tuple[dict[str, Any], Model | None]]:
        if not self._name.needs_instance:
            for row in queryset.values_list(*self._columns):
                yield dict(zip(self._columns, row, strict=True)), None
            return
        aliases = {f"zip_column_{number}": path for number, path in enumerate(self._columns)}
        annotated = queryset.annotate(**{alias: F(path) for alias, path in aliases.items()})
        for instance in annotated:
            yield {path: getattr(instance, alias) for alias, path in aliases.items()}, instance


def _text(name: Any) -> str | None:
    return None if name is None else str(name)


class _Naming:
    """How members get their names. This one: by the stored file's own. None is its own, too."""

    needs_instance = False
    columns: tuple[str, ...] = ()

    def of(
        self, stored_name: str, path: str, values: dict[str, Any], instance: Model | None
    ) -> Any:
        return posixpath.basename(stored_name)


class _ByColumn(_Naming):
    def __init__(self, path: str) -> None:
        self.columns = (path,)

    def of(
        self, stored_name: str, path: str, values: dict[str, Any], instance: Model | None
    ) -> Any:
        return values[self.columns[0]]


class _ByFormat(_Naming):
    def __init__(self, template: str) -> None:
        self._template = template
        names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        self._paths = {name: name.replace(".", LOOKUP_SEP) for name in names - _FILE_VALUES.keys()}
        self.columns = tuple(self._paths.values())

    def of(
        self, stored_name: str, path: str, values: dict[str, Any], instance: Model | None
    ) -> Any:
        known: dict[str, Any] = {
            name: value(stored_name, path) for name, value in _FILE_VALUES.items()
        }
        for name, column in self._paths.items():
            known[name] = "" if values[column] is None else values[column]
        return _Flat().vformat(self._template, (), known)


class _ByAttribute(_Naming):
    needs_instance = True

    def __init__(self, attribute: str) -> None:
        self._attribute = attribute

    def of(
        self, stored_name: str, path: str, values: dict[str, Any], instance: Model | None
    ) -> Any:
        value: Any = getattr(instance, self._attribute)
        return value() if callable(value) else value


class _ByCallable(_Naming):
    needs_instance = True

    def __init__(self, name: Callable[..., str]) -> None:
        self._call = name
        self._takes_stored_name = _arity(name) > 1

    def of(
        self, stored_name: str, path: str, values: dict[str, Any], instance: Model | None
    ) -> Any:
        arguments = (instance, stored_name) if self._takes_stored_name else (instance,)
        return self._call(*arguments)


class _Flat(Formatter):
    """Takes "folder.name" for one name: what it stands for is in the row already."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        return kwargs[field_name], field_name


_FILE_VALUES: Final[dict[str, Callable[[str, str], str]]] = {
    "basename": lambda stored_name, path: posixpath.basename(stored_name),
    "ext": lambda stored_name, path: posixpath.splitext(stored_name)[1],
    "field": lambda stored_name, path: path,
}


def _naming(queryset: QuerySet[Any], name: Name) -> _Naming:
    model = queryset.model
    if name is None:
        return _Naming()
    if callable(name):
        return _ByCallable(name)
    if "{" in name:
        return _ByFormat(name)
    is_column = name in queryset.query.annotations or _is_field(model, name)
    if LOOKUP_SEP not in name and not is_column and hasattr(model, name):
        return _ByAttribute(name)
    return _ByColumn(name)


def _is_field(model: type[Model], name: str) -> bool:
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True


def _arity(function: Callable[..., Any]) -> int:
    """Count the arguments that a callable needs; some of C's don't tell, and take one."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return 1
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(needed)


_KINDS: Final[dict[str, type[Field[Any, Any]]]] = {
    "size": IntegerField,
    "crc_32": IntegerField,
    "modified_at": DateTimeField,
}


def _fact_fields(
    queryset: QuerySet[Any], paths: tuple[str, ...], fields: Fields, fact: str
) -> dict[str, str]:
    """Give for each file field the field that holds a fact about it."""
    if fields is None:
        return {}
    by_path = dict(fields) if isinstance(fields, Mapping) else dict.fromkeys(paths, fields)
    if unknown := by_path.keys() - set(paths):
        raise ValueError(f"{', '.join(sorted(unknown))}: not among the file fields {paths}")
    kind = _KINDS[fact]
    for name in by_path.values():
        field = _check_path(queryset, name)
        if field is not None and not isinstance(field, kind):
            raise ValueError(f"{name!r} of {queryset.model._meta.label} must be a {kind.__name__}")
    return by_path


def _own_fact_fields(model: type[Model], paths: tuple[str, ...], fact: str) -> dict[str, str]:
    """Give the columns in which models keep a fact of their files themselves."""
    columns = {path: facts.columns_of(_file_field(model, path)).get(fact) for path in paths}
    return {
        path: LOOKUP_SEP.join([*path.split(LOOKUP_SEP)[:-1], column])
        for path, column in columns.items()
        if column is not None
    }


def _owner(path: str) -> str:
    """Give the path to the primary key of the row that a field belongs to."""
    return LOOKUP_SEP.join([*path.split(LOOKUP_SEP)[:-1], "pk"])


def _is_to_many(model: type[Model], path: str) -> bool:
    related: Any = model
    for part in path.split(LOOKUP_SEP)[:-1]:
        field: Any = related._meta.get_field(part)
        if field.one_to_many or field.many_to_many:
            return True
        related = field.related_model
    return False


def file_field_paths(model: type[Model], file_fields: tuple[str, ...]) -> tuple[str, ...]:
    """Give the file fields that are meant: these, or else the model's only one.

    Raises ValueError if there isn't just one.
    """
    if file_fields:
        return tuple(dict.fromkeys(file_fields))
    names = [field.name for field in model._meta.get_fields() if isinstance(field, FileField)]
    if len(names) != 1:
        raise ValueError(
            f"say which file fields of {model._meta.label} are wanted: it has "
            f"{', '.join(names) or 'none'}"
        )
    return (names[0],)


def check_file_fields(model: type[Model], file_fields: tuple[str, ...]) -> None:
    """Raise ValueError unless these are file fields of the model, or it has just one."""
    for path in file_field_paths(model, file_fields):
        _file_field(model, path)


def _file_field(model: type[Model], path: str) -> FileField:
    field = _followed(model, path)
    if not isinstance(field, FileField):
        raise ValueError(f"{path!r} of {model._meta.label} is no FileField")
    return field


def _check_path(queryset: QuerySet[Any], path: str) -> Any:
    """Give the field at the end of a path; None for an annotation, which may be anything."""
    if path in queryset.query.annotations:
        return None
    return _followed(queryset.model, path)


def _followed(model: type[Model], path: str) -> Any:
    """Follow a path of fields ("folder__name", "pk") to its last one."""
    field: Any = None
    related: Any = model
    for part in path.split(LOOKUP_SEP):
        try:
            field = related._meta.pk if part == "pk" else related._meta.get_field(part)
        except (FieldDoesNotExist, AttributeError) as error:
            raise ValueError(f"{model._meta.label} has no field {path!r}") from error
        related = getattr(field, "related_model", None)
    return field
