"""Members from the rows of a queryset: which column is the file, which one names it.

One query for the columns that are needed, and no model instance is kept. Or, for more rows than
anybody wants in memory, one short query for each page of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import Context, copy_context
from difflib import get_close_matches
from functools import partial
from inspect import signature
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple, TypeAlias, get_args

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.models import (
    CharField,
    DateTimeField,
    F,
    Field,
    FileField,
    IntegerField,
    Model,
    QuerySet,
)
from django.db.models.constants import LOOKUP_SEP

from django_stream_zip import conf
from django_stream_zip.engine.names import ManyNames
from django_stream_zip.members import field_files
from django_stream_zip.members.async_member import async_member
from django_stream_zip.members.collect import (
    SETTING,
    Collector,
    Limit,
    Missing,
    StoredFile,
)
from django_stream_zip.members.connections import borrowed_connections
from django_stream_zip.members.errors import TooManyMembersError
from django_stream_zip.members.member import AsyncContentMember, ContentMember
from django_stream_zip.members.misuse import check_rows, no_field, no_file_field, with_hints
from django_stream_zip.members.readers.places import whereabouts
from django_stream_zip.members.row_names import Name, naming
from django_stream_zip.metadata.fields import columns_of

# A field's name, or one for each file field.
Fields: TypeAlias = str | Mapping[str, str] | None

_PAGE_LENGTH: Final = 1000
# So many keys in one query: SQLite may take 999 variables, Oracle 1,000 in a list.
_BATCH_LENGTH: Final = 500


@with_hints
def queryset_members(
    queryset: QuerySet[Any],
    *file_fields: str,
    name: Name = None,
    size: Fields = None,
    crc_32: Fields = None,
    modified_at: Fields = None,
    validator: Fields = None,
    compress: bool | None = None,
    decode: bool | None = None,
    missing: Missing = "raise",
    limit: int | Limit | None = SETTING,
    max_bytes: int | Limit | None = SETTING,
) -> list[ContentMember]:
    """Make a member of every file of a queryset's rows, with one query if that can be.

    `file_fields` name file fields, also across relations ("attachments__file"); the model's only
    one needn't be named. A row whose field is empty has no member there.

    `name` is the name of a field ("title", "folder__name") or attribute; or a format string such as
    "{folder.name}/{title}.pdf", in which {basename} is the stored file's name without its folders,
    {ext} its ending with the dot and {field} the file field's name; or a callable that is given the
    instance, and the stored name too if it takes two arguments. By default it is the base name.
    NULL is "", times are in the zone of TIME_ZONE. A format that results in nothing or in an ending
    only has the stored file's name before that. Names are made safe, and unique without regard to
    case.

    `size`, `crc_32`, `modified_at` and `validator` name fields that hold these values, or map file
    fields to such: what they hold isn't asked of the storage. Columns of a `ZipMetadataModel`
    needn't be named. `decode`: see `storage_member`. `missing`, `limit` and `max_bytes`: see
    `collect.Collector`.

    Raises ValueError where a field or a format isn't what it should be; TooManyMembersError and
    TooManyBytesError over a limit; what the storage raises where a file is missing.
    """
    collector = Collector(
        compress=compress, decode=decode, missing=missing, limit=limit, max_bytes=max_bytes
    )
    rows = _Rows(
        queryset,
        file_fields,
        name,
        size,
        crc_32,
        modified_at,
        validator,
        with_own_facts=decode is None,
        limit=collector.limit,
    )
    return list(collector.members(rows.files(queryset)))


def check_options(queryset: QuerySet[Any] | None, /, *file_fields: str, **options: Any) -> None:
    """Raise ValueError where `queryset_members` would refuse these options; without a query.

    Without a queryset, what they say of its fields isn't checked.
    """
    known = signature(queryset_members).parameters.keys() - {"queryset", "file_fields"}
    for unknown in sorted(options.keys() - known):
        close = get_close_matches(unknown, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
        raise ValueError(f"there is no option {unknown!r}: {hint}")
    missing, policies = options.get("missing", "raise"), get_args(Missing)
    if missing not in policies:
        raise ValueError(f"missing must be one of {', '.join(policies)}, not {missing!r}")
    if queryset is not None:
        columns = {key: options.get(key) for key in ("name", *_KINDS)}
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
        return [
            async_member(member) for member in queryset_members(queryset, *file_fields, **options)
        ]

    return await sync_to_async(made)()


@with_hints
def lazy_queryset_members(
    queryset: QuerySet[Any],
    *file_fields: str,
    name: Name = None,
    size: Fields = None,
    crc_32: Fields = None,
    modified_at: Fields = None,
    validator: Fields = None,
    compress: bool | None = None,
    decode: bool | None = None,
    missing: Missing = "raise",
    limit: int | Limit | None = SETTING,
) -> Iterator[ContentMember]:
    """Make members while the archive is sent, ordered by primary key, in constant memory.

    There is a short query for each thousand rows, and between them no connection is held that
    wasn't open before, so it works with ATOMIC_REQUESTS and behind pgbouncer. Members are made in
    the context of this call. The archive has neither length nor ranges, and
    a missing file breaks it off unless `missing` says otherwise. The limit is checked now, by
    counting rows (files may be more or fewer), and MAX_BYTES doesn't apply. Else as
    `queryset_members`. Raises ValueError for a slice or a union.
    """
    rows = _Rows(
        queryset,
        file_fields,
        name,
        size,
        crc_32,
        modified_at,
        validator,
        with_own_facts=decode is None,
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
    if maximum is not None and queryset.order_by()[: maximum + 1].count() > maximum:
        raise TooManyMembersError(maximum)
    files = _of_one_place(_paged_files(rows, queryset), partial(rows.whereabouts, queryset))
    return _in_context(copy_context(), collector.members(files))


def _in_context(
    context: Context, members: Generator[ContentMember, None, None]
) -> Iterator[ContentMember]:
    """Yield members that are made in a context: which tenant's they are is known only there."""
    try:
        while (member := context.run(next, members, None)) is not None:
            yield member
    finally:
        context.run(members.close)


def _of_one_place(files: Iterator[StoredFile], place: Callable[[], Any]) -> Iterator[StoredFile]:
    """Return the files, as long as their place is what it is now.

    A thread's own variables, such as a connection's schema, are brought nowhere by a context. Who
    finds another tenant's there gets an error, and not that tenant's files.
    """
    return _checked(files, place, place())


def _checked(
    files: Iterator[StoredFile], place: Callable[[], Any], expected: Any
) -> Iterator[StoredFile]:
    while True:
        if place() != expected:  # before rows are asked for, and the file's reader is made
            raise RuntimeError(
                "lazy_queryset_members finds another tenant's schema or folder than when it was "
                "called: use queryset_members, or a context variable"
            )
        file = next(files, None)
        if file is None:
            return
        yield file


def _paged_files(rows: _Rows, queryset: QuerySet[Any]) -> Iterator[StoredFile]:
    """Yield the files page by page, and close the connection before they are sent."""
    pages = (list(rows.files(page)) for page in _pages(queryset))
    while True:
        with borrowed_connections():
            files = next(pages, None)
        if files is None:
            return
        yield from files


def _pages(queryset: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
    """Yield a queryset in pages of whole rows, by ranges of primary keys."""
    ordered = queryset.order_by("pk")
    last = None
    while True:
        following = ordered if last is None else ordered.filter(pk__gt=last)
        keys = list(following.values_list("pk", flat=True)[:_PAGE_LENGTH])
        if not keys:
            return
        last = keys[-1]
        yield following.filter(pk__lte=last)


class _Row(NamedTuple):
    """The values of a row by their paths; its instance and its files' owners where needed."""

    values: dict[str, Any]
    instance: Model | None
    owners: Mapping[str, Model | None] = {}


class _Rows:
    """What to select of rows, and how a file's description is made of them.

    Of more files than `limit` only one more is wanted.
    """

    def __init__(
        self,
        queryset: QuerySet[Any],
        file_fields: tuple[str, ...],
        name: Name,
        size: Fields,
        crc_32: Fields,
        modified_at: Fields,
        validator: Fields,
        *,
        with_own_facts: bool,
        limit: int | None = None,
    ) -> None:
        check_rows(queryset, file_fields, name)
        model = queryset.model
        self._limit = limit
        self._file_fields = file_field_paths(model, file_fields)
        self._storages = {path: _file_field(model, path).storage for path in self._file_fields}
        # They are of what the storage's `open()` gives, and not of what is decoded otherwise.
        holders = self._file_fields if with_own_facts else ()
        by_fact = [
            _own_fact_fields(model, holders, fact)
            | _fact_fields(queryset, self._file_fields, fields, fact)
            for fact, fields in zip(_KINDS, (size, crc_32, modified_at, validator), strict=True)
        ]
        self._facts = {path: [fields.get(path) for fields in by_fact] for path in self._file_fields}
        self._name = naming(queryset, name)
        # Whose file it is: by a join with many rows a file comes several times.
        self._owners = {path: _owner(path) for path in self._file_fields}
        self._joins_many = any(_is_to_many(model, path) for path in self._file_fields)
        self._managers = _managers(queryset, self._file_fields)
        self._on_instance = {
            path
            for path in self._file_fields
            if LOOKUP_SEP not in path
            and not field_files.is_column_enough(model, _file_field(model, path))
        }
        self._needs_instance = self._name.needs_instance or bool(self._on_instance)
        has_owners = self._joins_many or self._managers or limit is not None
        owners = ["pk", *self._owners.values()] if has_owners else ()
        known = [fact for own in self._facts.values() for fact in own if fact]
        wanted = [*self._file_fields, *owners, *known, *self._name.columns]
        self._columns = list(dict.fromkeys(wanted))
        fields = {path: _check_path(queryset, path) for path in self._columns}
        self._name.check(fields)
        self._check_has_instances(queryset)
        for path, own in self._facts.items():
            for fact in filter(None, own):
                self._check_is_one(queryset, fact, (path,))
        for path in self._name.columns:
            self._check_is_one(queryset, path, self._file_fields)

    def files(self, queryset: QuerySet[Any]) -> Iterator[StoredFile]:
        """Yield the files of all rows, each once, by one query if that can be."""
        seen = set()
        for row in self._with_owners(self._rows(queryset)):
            for path in self._file_fields:
                storage, stored_name = self._file(path, row)
                if not stored_name:
                    continue
                if self._joins_many:
                    owner = path, row.values["pk"], row.values[self._owners[path]]
                    if owner in seen:
                        continue
                    seen.add(owner)
                yield StoredFile(
                    storage,
                    stored_name,
                    _text(self._name.of(stored_name, path, row.values, row.instance)),
                    *[row.values[fact] if fact else None for fact in self._facts[path]],
                )

    def whereabouts(self, queryset: QuerySet[Any]) -> list[Any]:
        """Return where rows and files are looked for now, if that depends on who asks."""
        schema = getattr(connections[queryset.db], "schema_name", None)  # of django-tenants
        return [schema, *(whereabouts(storage, "x") for storage in self._storages.values())]

    def _file(self, path: str, row: _Row) -> tuple[Any, str]:
        """Return the storage and the stored name of a row's file; "" if it has none."""
        if path in self._managers:
            holder = row.owners[path]
        elif path in self._on_instance:
            holder = row.instance
        else:
            return self._storages[path], str(row.values[path] or "")
        file = getattr(holder, path.rpartition(LOOKUP_SEP)[2], None)
        return (field_files.storage_of(file), str(file.name)) if file else (None, "")

    def _check_has_instances(self, queryset: QuerySet[Any]) -> None:
        """See that rows are model instances where such are needed."""
        is_of_values = getattr(queryset, "_fields", None) is not None
        if self._needs_instance and (queryset.query.combinator or is_of_values):
            raise ValueError(
                f"the files of {queryset.model._meta.label} are named or stored by its instances, "
                "which a union and values() don't have: filter instead"
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

    def _rows(self, queryset: QuerySet[Any]) -> Iterator[_Row]:
        for part in self._parts(queryset):
            if self._needs_instance:
                yield from self._instances(part)
            else:
                yield from self._values(part)

    def _values(self, queryset: QuerySet[Any]) -> Iterator[_Row]:
        selected = queryset.values_list(*self._columns)
        key = itemgetter(self._columns.index("pk")) if "pk" in self._columns else hash
        for row in _fetched(selected, self._limit, key):
            yield _Row(dict(zip(self._columns, row, strict=True)), None)

    def _instances(self, queryset: QuerySet[Any]) -> Iterator[_Row]:
        aliases = {f"zip_column_{number}": path for number, path in enumerate(self._columns)}
        annotated = queryset.annotate(**{alias: F(path) for alias, path in aliases.items()})
        if self._on_instance:
            # Which columns decide about a storage isn't known: a deferred one would be a query.
            annotated.query.clear_deferred_loading()
        for instance in _fetched(annotated, self._limit, attrgetter("pk")):
            values = {path: getattr(instance, alias) for alias, path in aliases.items()}
            yield _Row(values, instance)

    def _with_owners(self, rows: Iterator[_Row]) -> Iterator[_Row]:
        """Yield rows with the instances that have their files, by one query for many of them."""
        if not self._managers:
            yield from rows
            return
        while batch := list(islice(rows, _BATCH_LENGTH)):
            found = {
                path: manager.in_bulk({row.values[self._owners[path]] for row in batch} - {None})
                for path, manager in self._managers.items()
            }
            for row in batch:
                keys = {path: row.values[self._owners[path]] for path in found}
                yield row._replace(owners={path: found[path].get(keys[path]) for path in found})

    def _parts(self, queryset: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
        """Yield what has all rows in their order: one query, or several for a slice that is joined.

        A slice is one of the rows, not of what they are joined to.
        """
        if not (queryset.query.is_sliced and self._joins_many):
            yield self._ordered(queryset)
            return
        keys = _fetched(queryset.values_list("pk", flat=True), self._limit)
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
        owners = self._owners.values() if self._joins_many else ()
        return queryset.order_by(*dict.fromkeys([*ordering, "pk", *owners]))


def _fetched(
    rows: QuerySet[Any], limit: int | None, key: Callable[[Any], Any] = hash
) -> Iterator[Any]:
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
    for row in rows.iterator(chunk_size=_PAGE_LENGTH):
        if yielded[key(row)]:
            yielded[key(row)] -= 1
        else:
            yield row


def _managers(queryset: QuerySet[Any], paths: tuple[str, ...]) -> dict[str, Any]:
    """Return what loads the owners of related files, where the joined columns aren't enough.

    These are the managers that the relations' own attributes use.
    """
    found = {}
    for path in paths:
        relation = path.rpartition(LOOKUP_SEP)[0]
        if not relation:
            continue
        owner = _followed(queryset.model, relation).related_model
        is_many = _is_to_many(queryset.model, path)
        manager = owner._default_manager if is_many else owner._base_manager
        field = _file_field(queryset.model, path)
        if not (field_files.is_plain(manager) and field_files.is_column_enough(owner, field)):
            found[path] = manager.using(queryset.db)
    return found


def _text(name: Any) -> str | None:
    return None if name is None else str(name)


# In the order in which a StoredFile has them.
_KINDS: Final[dict[str, type[Field[Any, Any]]]] = {
    "size": IntegerField,
    "crc_32": IntegerField,
    "modified_at": DateTimeField,
    "validator": CharField,
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
    columns = {path: columns_of(_file_field(model, path)).get(fact) for path in paths}
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
        raise no_file_field(model, path)
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
            raise no_field(model, path, related, part) from error
        related = getattr(field, "related_model", None)
    return field
