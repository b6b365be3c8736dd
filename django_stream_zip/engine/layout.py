"""How the records of a member look: decided once for all members that are alike.

The functions that write them are in `records`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Final

from django_stream_zip.engine import records, spec


@dataclass(frozen=True, slots=True)
class Layout:
    """What the records of many members have in common.

    Sizes can be up to `limit`. A member that grows above `outgrown_above` ends with another
    layout. Both headers begin with `start` and have `extra_field`.
    """

    has_data_descriptor: bool
    zip64_offset: bool
    encrypted: bool
    limit: int
    outgrown_above: int
    start: bytes
    extra_field: bytes
    local_header: Callable[..., bytes]
    data_descriptor: Callable[..., bytes]
    central_header: Callable[..., bytes]


# What writes a central directory header, by whether sizes and whether the offset have 64 bits.
_CENTRAL_DIRECTORY_HEADERS: Final[dict[tuple[bool, bool], Callable[..., bytes]]] = {
    (False, False): records.central_directory_header,
    (True, True): records.zip64_central_directory_header,
    (True, False): partial(records.partly_zip64_central_directory_header, True),
    (False, True): partial(records.partly_zip64_central_directory_header, False),
}


@cache
def layout_of(
    compression_method: int,
    has_data_descriptor: bool,
    zip64_sizes: bool,
    zip64_offset: bool,
    encrypted: bool,
    may_grow: bool = False,
) -> Layout:
    """Return the layout of such members.

    With `may_grow` the size is a guess: the member begins as the guess needs, and may outgrow it.
    """
    flags = spec.FLAG_UTF8 | (spec.FLAG_DATA_DESCRIPTOR if has_data_descriptor else 0)
    version = spec.VERSION_ZIP64 if zip64_sizes or zip64_offset else spec.VERSION_DEFAULT
    extra_field = b""
    if encrypted:
        flags |= spec.FLAG_ENCRYPTED
        version = spec.VERSION_AES
        extra_field = records.aes_extra_field(compression_method)
        compression_method = spec.METHOD_AES
    return Layout(
        has_data_descriptor=has_data_descriptor,
        zip64_offset=zip64_offset,
        encrypted=encrypted,
        limit=spec.MAX_64 if zip64_sizes or may_grow else spec.MAX_32,
        outgrown_above=spec.MAX_64 if zip64_sizes else spec.MAX_32,
        start=records.start_of_header(version, flags, compression_method),
        extra_field=extra_field,
        local_header=records.zip64_local_file_header if zip64_sizes else records.local_file_header,
        data_descriptor=records.zip64_data_descriptor if zip64_sizes else records.data_descriptor,
        central_header=_CENTRAL_DIRECTORY_HEADERS[zip64_sizes, zip64_offset],
    )


def outgrown(layout: Layout) -> Layout:
    """Return the layout with which a member ends that has become too large for 32 bits.

    Its local file header is out and says nothing of Zip64. Whoever has the file goes by the central
    directory (tried: unzip, 7-Zip, bsdtar, zipfile); of those who read a pipe, Java and
    stream-unzip find the end of such a member, bsdtar and npm's unzipper don't.
    """
    version = spec.VERSION_AES if layout.encrypted else spec.VERSION_ZIP64
    return replace(
        layout,
        outgrown_above=spec.MAX_64,
        start=version.to_bytes(2, "little") + layout.start[2:],
        data_descriptor=records.zip64_data_descriptor,
        central_header=_CENTRAL_DIRECTORY_HEADERS[True, layout.zip64_offset],
    )
