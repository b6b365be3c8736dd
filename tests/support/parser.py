"""A reader of archives for the tests: written from the APPNOTE, with nothing of the package.

It insists on what readers only assume: records without gaps between them, extra fields without
anything left over, a Zip64 field with just the values whose own fields are 0xFFFFFFFF.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

WIDE = 0xFFFFFFFF


class LocalHeader(NamedTuple):
    """Local file header (4.3.7)."""

    signature: bytes
    version_needed: int
    flags: int
    method: int
    time: int
    date: int
    crc_32: int
    compressed_size: int
    uncompressed_size: int
    name: bytes
    extra: dict[int, bytes]
    length: int


class DataDescriptor(NamedTuple):
    """Data descriptor (4.3.9)."""

    signature: bytes
    crc_32: int
    compressed_size: int
    uncompressed_size: int


class CentralHeader(NamedTuple):
    """Central directory header (4.3.12)."""

    signature: bytes
    specification: int
    made_by: int
    version_needed: int
    flags: int
    method: int
    time: int
    date: int
    crc_32: int
    compressed_size: int
    uncompressed_size: int
    name: bytes
    extra: dict[int, bytes]
    comment: bytes
    disk: int
    internal_attributes: int
    external_attributes: int
    offset: int

    def true_values(self) -> tuple[int, int, int]:
        """Return uncompressed size, compressed size and offset, from the Zip64 field where told."""
        values = [self.uncompressed_size, self.compressed_size, self.offset]
        if 0x0001 in self.extra:
            wide = [number for number, value in enumerate(values) if value == WIDE]
            for number, value in zip(wide, zip64(self.extra), strict=True):
                values[number] = value
        return (*values,)


class End(NamedTuple):
    """End of central directory record (4.3.16)."""

    signature: bytes
    disk: int
    directory_disk: int
    entries_on_disk: int
    entries: int
    size: int
    offset: int
    comment_length: int


class Zip64End(NamedTuple):
    """Zip64 end of central directory record (4.3.14)."""

    signature: bytes
    length: int
    specification: int
    made_by: int
    version_needed: int
    disk: int
    directory_disk: int
    entries_on_disk: int
    entries: int
    size: int
    offset: int


class Locator(NamedTuple):
    """Zip64 end of central directory locator (4.3.15)."""

    signature: bytes
    disk: int
    offset: int
    disks: int


class Ends(NamedTuple):
    """All end records, and what they say."""

    zip64: Zip64End | None
    locator: Locator | None
    end: End

    @property
    def last_word(self) -> tuple[int, int, int]:
        """Entries, size and offset of the central directory."""
        record = self.zip64 or self.end
        return record.entries, record.size, record.offset


class Member(NamedTuple):
    """All of a member."""

    local: LocalHeader
    data: bytes
    descriptor: DataDescriptor | None
    central: CentralHeader


class Archive(NamedTuple):
    """All of an archive."""

    members: list[Member]
    ends: Ends


def zip64(extra: dict[int, bytes]) -> tuple[int, ...]:
    """Take the numbers of 8 bytes out of the Zip64 field."""
    field = extra[0x0001]
    return struct.unpack(f"<{len(field) // 8}Q", field)


def _extra(field: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    while field:
        number, length = struct.unpack_from("<HH", field)
        assert number not in fields, f"extra field {number:#06x} twice"
        assert len(field) >= 4 + length, f"extra field {number:#06x} is cut"
        fields[number], field = field[4 : 4 + length], field[4 + length :]
    return fields


def local_header(data: bytes, at: int = 0) -> LocalHeader:
    """Take apart a local file header."""
    *values, name, extra = struct.unpack_from("<4sHHHHHLLLHH", data, at)
    assert values[0] == b"PK\x03\x04"
    names, extras = at + 30, at + 30 + name
    end = extras + extra
    return LocalHeader(*values, data[names:extras], _extra(data[extras:end]), end - at)


def descriptor(data: bytes) -> DataDescriptor:
    """Take apart a data descriptor: its length says which of both."""
    record = DataDescriptor(*struct.unpack({16: "<4sLLL", 24: "<4sLQQ"}[len(data)], data))
    assert record.signature == b"PK\x07\x08"
    return record


def central_headers(data: bytes) -> list[CentralHeader]:
    """Take apart a central directory."""
    headers, at = [], 0
    while at < len(data):
        values = struct.unpack_from("<4sBBHHHHHLLLHHHHHLL", data, at)
        assert values[0] == b"PK\x01\x02"
        name, extra, comment = values[11:14]
        names, extras = at + 46, at + 46 + name
        comments, at = extras + extra, extras + extra + comment
        headers.append(
            CentralHeader(
                *values[:11],
                data[names:extras],
                _extra(data[extras:comments]),
                data[comments:at],
                *values[14:],
            )
        )
    return headers


def end_records(data: bytes) -> Ends:
    """Take apart the end records, of which the last has no comment."""
    end = End(*struct.unpack("<4sHHHHLLH", data[-22:]))
    assert end.signature == b"PK\x05\x06"
    if data[-42:-38] != b"PK\x06\x07":
        return Ends(None, None, end)
    locator = Locator(*struct.unpack("<4sLQL", data[-42:-22]))
    record = Zip64End(*struct.unpack("<4sQBBHLLQQQQ", data[-98:-42]))
    assert record.signature == b"PK\x06\x06"
    assert record.length == 56 - 12
    assert locator.offset == record.offset + record.size, "the locator points elsewhere"
    return Ends(record, locator, end)


def tail(data: bytes) -> tuple[list[CentralHeader], Ends]:
    """Take apart a central directory and the end records, nothing before them."""
    ends = end_records(data)
    directory = data[: -98 if ends.zip64 else -22]
    assert len(directory) == ends.last_word[1], (
        "the directory has another size than its record says"
    )
    return central_headers(directory), ends


def parse(data: bytes) -> Archive:
    """Take apart an archive, all of it: nothing may be between its records."""
    ends = end_records(data)
    entries, size, offset = ends.last_word
    assert offset + size == len(data) - (98 if ends.zip64 else 22), "a gap before the end records"
    headers = central_headers(data[offset : offset + size])
    assert len(headers) == entries
    members, at = [], 0
    starts = [header.true_values()[2] for header in headers]
    for central, stop in zip(headers, [*starts, offset][1:], strict=True):
        _, compressed_size, start = central.true_values()
        assert start == at, "a gap before a member"
        local = local_header(data, start)
        begin = start + local.length
        rest = data[begin + compressed_size : stop]
        members.append(
            Member(
                local,
                data[begin : begin + compressed_size],
                descriptor(rest) if rest else None,
                central,
            )
        )
        at = stop
    return Archive(members, ends)
