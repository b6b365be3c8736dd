"""How members of rows get their names: by a column, a format, an attribute or a callable."""

from __future__ import annotations

import inspect
import posixpath
from collections.abc import Callable
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
from django_stream_zip.members.rows import Row

Name: TypeAlias = str | Callable[..., str] | None


class Naming:
    """A way to name files. This one, and where another finds nothing: by their stored names."""

    needs_instance = False
    columns: tuple[str, ...] = ()

    def of(self, row: Row, file_field: str, stored_name: str) -> Any:
        """Return a file's name; None or "" is the stored one without directories."""
        return None

    def check(self, fields: dict[str, Any]) -> None:
        """Raise ValueError if the columns' fields can't be named by. An annotation's is None."""


class _ByColumn(Naming):
    def __init__(self, path: str) -> None:
        self.columns = (path,)

    def of(self, row: Row, file_field: str, stored_name: str) -> Any:
        return _as_shown(row.values[self.columns[0]])


class _ByFormat(Naming):
    def __init__(self, template: str) -> None:
        self._template = template
        self._parts = list(Formatter().parse(template))
        names = {name for _, name, _, _ in self._parts if name is not None}
        self._paths = {name: name.replace(".", LOOKUP_SEP) for name in names - _FILE_VALUES.keys()}
        self.columns = tuple(self._paths.values())

    def of(self, row: Row, file_field: str, stored_name: str) -> Any:
        known = {name: value(file_field, stored_name) for name, value in _FILE_VALUES.items()}
        shown = {name: _as_shown(row.values[column]) for name, column in self._paths.items()}
        name = self._text({**known, **shown})
        if name.rpartition("/")[2][:1].isalnum():
            return name
        blank = self._text({**dict.fromkeys(shown), **known})
        return _with_stem(name, blank, posixpath.basename(stored_name))

    def check(self, fields: dict[str, Any]) -> None:
        for _, name, specification, conversion in self._parts:
            if "{" in (specification or ""):
                raise ValueError(f"name={self._template!r}: {{{name}}} has a format in its format")
            sample = _sample(fields.get(self._paths.get(name or "", "")))
            self._formatted(name, sample, specification, conversion)

    def _text(self, known: dict[str, Any]) -> str:
        return "".join(
            literal + self._formatted(name, known.get(name or ""), specification, conversion)
            for literal, name, specification, conversion in self._parts
        )

    def _formatted(
        self, name: str | None, value: Any, specification: str | None, conversion: str | None
    ) -> str:
        """Return a value as the format has it. NULL is nothing, whatever the format."""
        if value is None:
            return ""
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

    def of(self, row: Row, file_field: str, stored_name: str) -> Any:
        value: Any = getattr(row.instance, self._attribute)
        return value() if callable(value) else value


class _ByCallable(Naming):
    needs_instance = True

    def __init__(self, name: Callable[..., str]) -> None:
        self._call = name
        self._takes_stored_name = _arity(name) > 1

    def of(self, row: Row, file_field: str, stored_name: str) -> Any:
        if self._takes_stored_name:
            return self._call(row.instance, stored_name)
        return self._call(row.instance)


_FILE_VALUES: Final[dict[str, Callable[[str, str], str]]] = {
    "basename": lambda file_field, stored_name: posixpath.basename(stored_name),
    "ext": lambda file_field, stored_name: extension(posixpath.basename(stored_name)),
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
