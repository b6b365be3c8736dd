"""Members from the rows of a queryset: which column is the file, which one names it.

One query for the columns that are needed, and no model instance is kept. Or, for more rows than
anybody wants in memory, one short query for each page of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextvars import copy_context
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any, get_args

from asgiref.sync import sync_to_async
from django.core.files.storage import Storage
from django.db.models import QuerySet

from django_stream_zip import conf
from django_stream_zip.engine.names import ManyNames
from django_stream_zip.members.async_member import async_member
from django_stream_zip.members.build import AsyncContentMember, ContentMember
from django_stream_zip.members.collect import (
    FROM_SETTINGS,
    Collector,
    Limit,
    Missing,
    StoredFile,
    check_values,
)
from django_stream_zip.members.connections import borrowed_connections
from django_stream_zip.members.errors import TooManyMembersError
from django_stream_zip.members.misuse import with_hints
from django_stream_zip.members.paths import check_file_fields, file_field_paths
from django_stream_zip.members.row_files import RowFiles
from django_stream_zip.members.row_metadata import KINDS, Fields
from django_stream_zip.members.row_names import Name
from django_stream_zip.members.rows import pages
from django_stream_zip.prefetch.ambient import Ambient

__all__ = [
    "aqueryset_members",
    "check_file_fields",
    "check_options",
    "file_field_paths",
    "lazy_queryset_members",
    "queryset_members",
]


@with_hints
def queryset_members(
    queryset: QuerySet[Any],
    *file_fields: str,
    name: Name = None,
    size: Fields = None,
    crc_32: Fields = None,
    modified_at: Fields = None,
    validator: Fields = None,
    storage: Storage | None = None,
    compress: bool | None = None,
    decode: bool | None = None,
    missing: Missing = "raise",
    limit: int | Limit | None = FROM_SETTINGS,
    max_bytes: int | Limit | None = FROM_SETTINGS,
) -> list[ContentMember]:
    """Make a member of every file of a queryset's rows, with one query if that can be.

    A row whose field is empty has no member there. Names are made safe, and unique without regard
    to case.

    Args:
        queryset: The rows, in their order.
        file_fields: File fields, also across relations ("attachments__file"). The model's only one
            needn't be named.
        name: What names the members: a field ("title", "folder__name") or attribute; a format
            string such as "{folder.name}/{title}.pdf", in which {basename} is the stored file's
            name without its directories, {ext} its extension with the dot and {field} the file
            field's name; or a callable that takes the instance, and the stored name too if it has
            two arguments. The default is the stored file's base name. NULL is "", times are in the
            zone of TIME_ZONE. Where a format results in nothing, or in an extension only, the
            stored file's name comes before that.
        size: The field that holds the number of bytes, or one for each file field. The storage
            isn't queried for this value, nor for the next three. Columns of a `ZipMetadataModel`
            needn't be named.
        crc_32: The same for the CRC-32.
        modified_at: The same for the time of modification.
        validator: The same for the storage's validator.
        storage: Where the files are, if `file_fields` are text columns that hold stored names, as
            those of historical rows (django-simple-history) are.
        compress: Whether to deflate; None leaves it to the kind of file and the setting.
        decode: Whether what is stored gzipped is decoded: see `storage_member`.
        missing: What to do with a file that can't be described: "raise" what the storage raises,
            "skip" it, or skip it and "report" it in a text member at the end.
        limit: How many members there may be; None is no limit. The default is the setting's.
        max_bytes: How many bytes all contents may have, likewise.

    Raises:
        ValueError: A field or a format isn't what it should be.
        TooManyMembersError: There are more members than the limit.
        TooManyBytesError: There are more bytes than the limit.
        FileNotFoundError: A file is missing. Other errors of the storage are raised as they are.
    """
    collector = Collector(
        compress=compress, decode=decode, missing=missing, limit=limit, max_bytes=max_bytes
    )
    declared = {"size": size, "crc_32": crc_32, "modified_at": modified_at, "validator": validator}
    files = RowFiles(
        queryset,
        file_fields,
        name,
        declared,
        own_metadata=decode is None,  # it is of what the storage's `open()` returns
        limit=collector.limit,
        storage=storage,
    )
    return list(collector.members(files.of(queryset)))


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
    check_values(options)
    if queryset is not None:
        declared = {kind: options.get(kind) for kind in KINDS}
        own_metadata = options.get("decode") is None
        RowFiles(
            queryset,
            file_fields,
            options.get("name"),
            declared,
            own_metadata=own_metadata,
            storage=options.get("storage"),
        )


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
    storage: Storage | None = None,
    compress: bool | None = None,
    decode: bool | None = None,
    missing: Missing = "raise",
    limit: int | Limit | None = FROM_SETTINGS,
) -> Iterator[ContentMember]:
    """Make members while the archive is sent, ordered by primary key, in constant memory.

    There is a short query for each thousand rows, and between them no connection is held that
    wasn't open before, so it works with ATOMIC_REQUESTS and behind pgbouncer. Members are made in
    the context of this call. The archive has neither length nor ranges, and a missing file
    truncates it unless `missing` says otherwise.

    The queryset must be neither sliced nor a union. `limit` is how many rows there may be (files
    may be more or fewer): they are counted now. MAX_BYTES doesn't apply. The other arguments are
    those of `queryset_members`.

    Yields:
        The members.

    Raises:
        ValueError: A field or a format isn't what it should be, or it is a slice or a union.
        TooManyMembersError: There are more rows than the limit.
    """
    check_values({"limit": limit})
    declared = {"size": size, "crc_32": crc_32, "modified_at": modified_at, "validator": validator}
    files = RowFiles(
        queryset, file_fields, name, declared, own_metadata=decode is None, storage=storage
    )
    collector = Collector(
        compress=compress,
        decode=decode,
        missing=missing,
        limit=None,
        max_bytes=None,
        names=ManyNames(),
    )
    _check_pages(queryset, conf.get("MAX_MEMBERS") if isinstance(limit, Limit) else limit)
    found = _of_one_place(_paged_files(files, queryset), partial(files.whereabouts, queryset))
    return _in_context(Ambient(copy_context()), collector.members(found))


def _check_pages(queryset: QuerySet[Any], limit: int | None) -> None:
    """Raise an error unless a queryset can be paged, and has no more rows than the limit."""
    query = queryset.query
    if query.is_sliced or query.combinator:
        raise ValueError("a slice or a union can't be paged by primary key: filter instead")
    if limit is not None and queryset.order_by()[: limit + 1].count() > limit:
        raise TooManyMembersError(limit)


def _in_context(
    ambient: Ambient, members: Generator[ContentMember, None, None]
) -> Iterator[ContentMember]:
    """Yield members that are made in a context: which tenant's they are is known only there."""
    try:
        while (member := ambient.run(next, members, None)) is not None:
            yield member
    finally:
        ambient.run(members.close)


def _of_one_place(
    files: Iterator[StoredFile], whereabouts: Callable[[], object]
) -> Iterator[StoredFile]:
    """Return the files, as long as they are looked for where they are now.

    A context has no variables of a thread, such as a connection's schema. Who finds another
    tenant's there gets an error, and not that tenant's files.
    """
    return _checked(files, whereabouts, whereabouts())


def _checked(
    files: Iterator[StoredFile], whereabouts: Callable[[], object], expected: object
) -> Iterator[StoredFile]:
    while True:
        if whereabouts() != expected:  # before rows are queried, and the file's reader is made
            raise RuntimeError(
                "lazy_queryset_members finds another tenant's schema or folder than when it was "
                "called: use queryset_members, or a context variable"
            )
        file = next(files, None)
        if file is None:
            return
        yield file


def _paged_files(files: RowFiles, queryset: QuerySet[Any]) -> Iterator[StoredFile]:
    """Yield the files page by page, and close the connection before they are sent."""
    found = (list(files.of(page)) for page in pages(queryset))
    while True:
        with borrowed_connections():
            page = next(found, None)
        if page is None:
            return
        yield from page
