"""How members of rows get their names: by a column, a format, an attribute or a callable."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from string import Formatter
from typing import Any, Final, TypeAlias
from uuid import UUID

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP

from django_stream_zip.engine.names import extension, safe_name
from django_stream_zip.members.build import wall_clock

Name: TypeAlias = str | Callable[..., str] | None


class Naming:
    """A way to name files. This one, and where another finds nothing: by their stored names."""

    needs_instance = False
    columns: tuple[str, ...] = ()

    def expect(self, columns: Sequence[str]) -> None:
        """Take note of the columns that rows are going to have, its own among them."""

    def of(
        self, values: tuple[Any, ...], instance: Model | None, file_field: str, stored_name: str
    ) -> Any:
        """Return a file's name; None or "" is the stored one without directories."""
        return None

    def check(self, fields: dict[str, Any]) -> None:
        """Raise ValueError if the columns' fields can't be named by. An annotation's is None."""


class _ByColumn(Naming):
    def __init__(self, path: str) -> None:
        self.columns = (path,)

    def expect(self, columns: Sequence[str]) -> None:
        self._place = columns.index(self.columns[0])

    def of(
        self, values: tuple[Any, ...], instance: Model | None, file_field: str, stored_name: str
    ) -> Any:
        return _as_shown(values[self._place])


class _ByFormat(Naming):
    def __init__(self, template: str) -> None:
        self._template = template
        self._parts = list(Formatter().parse(template))
        names = dict.fromkeys(name for _, name, _, _ in self._parts if name is not None)
        self._paths = {n: n.replace(".", LOOKUP_SEP) for n in names if n not in _FILE_VALUES}
        self.columns = tuple(self._paths.values())
        self._of_file = {name: _FILE_VALUES[name] for name in names if name in _FILE_VALUES}

    def expect(self, columns: Sequence[str]) -> None:
        # Behind the values of a row are those of its file, and None for a part that has no value.
        places = {name: columns.index(path) for name, path in self._paths.items()}
        places |= {name: number for number, name in enumerate(self._of_file, len(columns))}
        self._steps = [
            (literal, places.get(name or "", -1), not (how or conversion), (name, how, conversion))
            for literal, name, how, conversion in self._parts
        ]

    def of(
        self, values: tuple[Any, ...], instance: Model | None, file_field: str, stored_name: str
    ) -> Any:
        of_file = [value(file_field, stored_name) for value in self._of_file.values()]
        name = self._text((*values, *of_file, None))
        start = name.rfind("/") + 1
        if name[start : start + 1].isalnum():
            return name
        blank = self._text((*[None] * len(values), *of_file, None))
        return _with_stem(name, blank, _basename(file_field, stored_name))

    def check(self, fields: dict[str, Any]) -> None:
        for _, name, specification, conversion in self._parts:
            if "{" in (specification or ""):
                raise ValueError(f"name={self._template!r}: {{{name}}} has a format in its format")
            sample = _sample(fields.get(self._paths.get(name or "", "")))
            self._formatted(sample, name, specification, conversion)

    def _text(self, known: tuple[Any, ...]) -> str:
        return "".join(
            [
                literal
                + (
                    value.rstrip("/")  # as `_formatted` has it, at once
                    if (value := known[place]).__class__ is str and is_plain
                    else self._formatted(value, *part)
                )
                for literal, place, is_plain, part in self._steps
            ]
        )

    def _formatted(
        self, value: Any, name: str | None, specification: str | None, conversion: str | None
    ) -> str:
        """Return a value as the format has it. NULL is nothing, whatever the format."""
        if value is None:
            return ""
        value = _as_shown(value)
        try:
            text = format(Formatter().convert_field(value, conversion or None), specification or "")
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"name={self._template!r}: {{{name}}} is a {type(value).__name__}, which has no "
                f"format {specification or conversion!r} ({error})"
            ) from error
        # A slash at its end would make a directory of the file.
        return text.rstrip("/")


class _ByAttribute(Naming):
    needs_instance = True

    def __init__(self, attribute: str) -> None:
        self._attribute = attribute

    def of(
        self, values: tuple[Any, ...], instance: Model | None, file_field: str, stored_name: str
    ) -> Any:
        value: Any = getattr(instance, self._attribute)
        return value() if callable(value) else value


class _ByCallable(Naming):
    needs_instance = True

    def __init__(self, name: Callable[..., str]) -> None:
        self._call = name
        self._takes_stored_name = _arity(name) > 1

    def of(
        self, values: tuple[Any, ...], instance: Model | None, file_field: str, stored_name: str
    ) -> Any:
        return self._call(*((instance, stored_name) if self._takes_stored_name else (instance,)))


def _basename(file_field: str, stored_name: str) -> str:
    return stored_name[stored_name.rfind("/") + 1 :]


_FILE_VALUES: Final[dict[str, Callable[[str, str], str]]] = {
    "basename": _basename,
    "ext": lambda _, stored_name: extension(stored_name[stored_name.rfind("/") + 1 :]),
    "field": lambda file_field, stored_name: file_field,
}

# Values as fields of these types have them, to try a format with before there is a row.
_SAMPLES: Final[dict[str, Any]] = {
    **dict.fromkeys(("CharField", "FileField", "SlugField", "TextField"), "a"),
    **dict.fromkeys(("AutoField", "BigAutoField", "SmallAutoField"), 1),
    **dict.fromkeys(("IntegerField", "BigIntegerField", "SmallIntegerField"), 1),
    **dict.fromkeys(("PositiveIntegerField", "PositiveBigIntegerField"), 1),
    "PositiveSmallIntegerField": 1,
    "BooleanField": True,
    "DateField": date(2000, 1, 1),
    "DateTimeField": datetime(2000, 1, 1),
    "DecimalField": Decimal(1),
    "DurationField": timedelta(1),
    "FloatField": 1.0,
    "TimeField": time(),
    "UUIDField": UUID(int=0),
}


def naming(queryset: QuerySet[Any], name: Name) -> Naming:
    """Return the way of naming that is meant."""
    if name is None:
        return Naming()
    if callable(name):
        return _ByCallable(name)
    if "{" in name:
        return _ByFormat(name)
    is_column = name in queryset.query.annotations or _is_field(queryset.model, name)
    if LOOKUP_SEP not in name and not is_column and hasattr(queryset.model, name):
        return _ByAttribute(name)
    return _ByColumn(name)


def _with_stem(name: str, blank: str, stored: str) -> str:
    """Return a name that isn't only an extension: if it is, the stored file's stem before it.

    `blank` is what the format makes of a row that has nothing but a file.
    """
    directory, slash, last = name.replace("\\", "/").rpartition("/")
    end = blank.rpartition("/")[2]
    if end.strip(" ")[:1] not in ("", ".") or _visible(last) != _visible(end):
        return name
    stem = stored.removesuffix(extension(stored)) if end else stored
    return f"{directory}{slash}{stem}{end}"


def _as_shown(value: Any) -> Any:
    """Return a time as the site's clocks show it, and any other value as it is."""
    return wall_clock(value) if isinstance(value, datetime) else value


def _visible(name: str) -> str:
    """Return what a safe name leaves of the last component, without what would hide it."""
    return safe_name(f"x{name}")[1:].strip(" .")


def _sample(field: Any) -> Any:
    """Return a value as a column has it; None where that isn't known."""
    if field is None or hasattr(field, "from_db_value"):
        return None
    return _SAMPLES.get(field.get_internal_type())


def _is_field(model: type[Model], name: str) -> bool:
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True


def _arity(function: Callable[..., Any]) -> int:
    """Return how many arguments a callable needs: one for those of C that don't say."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return 1
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(needed)
