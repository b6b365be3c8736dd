"""The rows of a queryset, each once and in a fixed order, with just the columns that are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeAlias

from django.db.models import F, Model, QuerySet

PAGE_LENGTH: Final = 1000
# So many keys in one query: SQLite may take 999 variables, Oracle 1,000 in a list.
_BATCH_LENGTH: Final = 500


#: The values of a row in the order of the columns; its instance, and by file field the owner of its
#: file, where needed. (A plain tuple: that of a class takes twice the time.)
Row: TypeAlias = tuple[tuple[Any, ...], Model | None, Mapping[str, Model | None]]

_NO_OWNERS: Final[Mapping[str, Model | None]] = {}


@dataclass(frozen=True)
class Rows:
    """What to select of rows. Made once for a queryset, its pages and its slices."""

    columns: tuple[str, ...]
    #: By file field the path to the primary key of the row that has the file: by a join with many
    #: rows a file comes several times.
    owners: Mapping[str, str]
    #: By file field what loads these rows, where columns aren't enough.
    managers: Mapping[str, QuerySet[Any]] = field(default_factory=dict)
    joins_many: bool = False
    needs_instance: bool = False
    #: Whether instances need all their columns, not to query for a deferred one.
    needs_all_columns: bool = False
    #: Of more rows than that, only one more is likely to be wanted.
    limit: int | None = None

    def of(self, queryset: QuerySet[Any]) -> Iterator[Row]:
        """Yield the rows, by one query if that can be."""
        fetch = self._instances if self.needs_instance else self._values
        rows = (row for part in self._parts(queryset) for row in fetch(part))
        return self._with_owners(rows) if self.managers else rows

    def _values(self, queryset: QuerySet[Any]) -> Iterator[Row]:
        fetched = queryset.values_list(*self.columns)
        key = itemgetter(self.columns.index("pk")) if "pk" in self.columns else hash
        for row in _fetched(fetched, self.limit, key):
            yield row, None, _NO_OWNERS

    def _instances(self, queryset: QuerySet[Any]) -> Iterator[Row]:
        aliases = {f"zip_column_{number}": path for number, path in enumerate(self.columns)}
        annotated = queryset.annotate(**{alias: F(path) for alias, path in aliases.items()})
        if self.needs_all_columns:
            annotated.query.clear_deferred_loading()
        for instance in _fetched(annotated, self.limit, attrgetter("pk")):
            yield tuple([getattr(instance, alias) for alias in aliases]), instance, _NO_OWNERS

    def _with_owners(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield rows with the instances that have their files, by one query for many of them."""
        places = {path: self.columns.index(self.owners[path]) for path in self.managers}
        while batch := list(islice(rows, _BATCH_LENGTH)):
            found = {
                path: manager.in_bulk({values[places[path]] for values, _, _ in batch} - {None})
                for path, manager in self.managers.items()
            }
            for values, instance, _ in batch:
                owners = {path: found[path].get(values[places[path]]) for path in found}
                yield values, instance, owners

    def _parts(self, queryset: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
        """Yield querysets that have all rows in their order: several for a slice that is joined.

        A slice is one of the rows, not of what they are joined to.
        """
        if not (queryset.query.is_sliced and self.joins_many):
            yield self._ordered(queryset)
            return
        keys = _fetched(queryset.values_list("pk", flat=True), self.limit, hash)
        rows = queryset.all()
        rows.query.clear_limits()
        while batch := list(islice(keys, _BATCH_LENGTH)):
            yield self._ordered(rows.filter(pk__in=batch))

    def _ordered(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Order rows that the ordering leaves equal by primary key.

        The same archive has to have the same bytes when it is resumed. (What is sliced or combined
        can't be ordered any more.)
        """
        query = queryset.query
        if query.is_sliced or query.combinator or query.distinct_fields or query.extra_order_by:
            return queryset
        default: Any = query.get_meta().ordering if query.default_ordering else ()
        ordering: Any = query.order_by or default
        owners = self.owners.values() if self.joins_many else ()
        return queryset.order_by(*dict.fromkeys([*ordering, "pk", *owners]))


def pages(queryset: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
    """Yield a queryset in pages of whole rows, by ranges of primary keys."""
    ordered = queryset.order_by("pk")
    last = None
    while True:
        following = ordered if last is None else ordered.filter(pk__gt=last)
        keys = list(following.values_list("pk", flat=True)[:PAGE_LENGTH])
        if not keys:
            return
        last = keys[-1]
        yield following.filter(pk__lte=last)


def _fetched(rows: QuerySet[Any], limit: int | None, key: Callable[[Any], Any]) -> Iterator[Any]:
    """Yield rows. Where there is a limit, so many and one more; all of them if more are wanted.

    All means to ask again, from the first one: a part that begins later would miss or repeat rows
    if others come and go meanwhile. By their keys, those that were yielded are left out.
    """
    if limit is None:
        yield from rows
        return
    first = list(rows[: limit + 1])
    yield from first
    if len(first) <= limit:
        return
    yielded = Counter(map(key, first))
    for row in rows.iterator(chunk_size=PAGE_LENGTH):
        if yielded[key(row)]:
            yielded[key(row)] -= 1
        else:
            yield row
