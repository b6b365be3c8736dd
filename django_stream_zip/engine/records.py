"""Each record of the format as a function of named arguments. Stateless; decides nothing.

The parameters have the APPNOTE's names. What a function returns depends on its arguments alone,
so the record of a 5 GiB member is tested without one.
"""

from __future__ import annotations

from datetime import datetime
from math import floor
from struct import Struct

from django_stream_zip.engine import spec

_START_OF_HEADER = Struct("<HHH")
_LOCAL_FILE_HEADER = Struct("<4s6sLLLLHH")
_CENTRAL_DIRECTORY_HEADER = Struct("<4sH6sLLLLHHHHHLL")
_CRC_32 = Struct("<L")
_CRC_32_IN_CENTRAL_DIRECTORY_HEADER = 16
_DATA_DESCRIPTOR = Struct("<4sLLL")
_ZIP64_DATA_DESCRIPTOR = Struct("<4sLQQ")
_END_OF_CENTRAL_DIRECTORY = Struct("<4sHHHHLLH")
_ZIP64_END_OF_CENTRAL_DIRECTORY = Struct("<4sQHHLLQQQQ")
_ZIP64_END_OF_CENTRAL_DIRECTORY_LOCATOR = Struct("<4sLQL")
_ZIP64_EXTENDED_INFORMATION = (None, Struct("<HHQ"), Struct("<HHQQ"), Struct("<HHQQQ"))
_, _, _ZIP64_SIZES, _ZIP64_ALL = _ZIP64_EXTENDED_INFORMATION
_EXTENDED_TIMESTAMP = Struct("<HHBl")
_AES = Struct("<HHH2sBH")

CENTRAL_DIRECTORY_HEADER_LENGTH = _CENTRAL_DIRECTORY_HEADER.size

_EARLIEST_MSDOS_TIME = (1 << 21) | (1 << 16)
_LATEST_MSDOS_TIME = (127 << 25) | (12 << 21) | (31 << 16) | (23 << 11) | (59 << 5) | 29


def start_of_header(version_needed: int, flags: int, compression_method: int) -> bytes:
    """Return what both headers have after their signature (and the version made by)."""
    return _START_OF_HEADER.pack(version_needed, flags, compression_method)


def local_file_header(
    start: bytes,
    modified: int,
    crc_32: int,
    compressed_size: int,
    uncompressed_size: int,
    file_name: bytes,
    extra_field: bytes,
) -> bytes:
    """Return a local file header (4.3.7).

    `modified` is the MS-DOS date (high 16 bits) and time (low 16).
    """
    return (
        _LOCAL_FILE_HEADER.pack(
            spec.LOCAL_FILE_HEADER_SIGNATURE,
            start,
            modified,
            crc_32,
            compressed_size,
            uncompressed_size,
            len(file_name),
            len(extra_field),
        )
        + file_name
        + extra_field
    )


def zip64_local_file_header(
    start: bytes,
    modified: int,
    crc_32: int,
    compressed_size: int,
    uncompressed_size: int,
    file_name: bytes,
    extra_field: bytes,
) -> bytes:
    """Return a local file header whose sizes are in Zip64's extra field (4.5.3)."""
    sizes = _ZIP64_SIZES.pack(spec.EXTRA_ZIP64, 16, uncompressed_size, compressed_size)
    return local_file_header(
        start, modified, crc_32, spec.MAX_32, spec.MAX_32, file_name, sizes + extra_field
    )


def data_descriptor(crc_32: int, compressed_size: int, uncompressed_size: int) -> bytes:
    """Return a data descriptor (4.3.9) with its customary signature."""
    return _DATA_DESCRIPTOR.pack(
        spec.DATA_DESCRIPTOR_SIGNATURE, crc_32, compressed_size, uncompressed_size
    )


def zip64_data_descriptor(crc_32: int, compressed_size: int, uncompressed_size: int) -> bytes:
    """Return a data descriptor whose sizes have 8 bytes (4.3.9.2)."""
    return _ZIP64_DATA_DESCRIPTOR.pack(
        spec.DATA_DESCRIPTOR_SIGNATURE, crc_32, compressed_size, uncompressed_size
    )


def central_directory_header(
    start: bytes,
    modified: int,
    crc_32: int,
    compressed_size: int,
    uncompressed_size: int,
    external_file_attributes: int,
    offset_of_local_header: int,
    file_name: bytes,
    extra_field: bytes,
) -> bytes:
    """Return a central directory header (4.3.12), without comment."""
    return (
        _CENTRAL_DIRECTORY_HEADER.pack(
            spec.CENTRAL_DIRECTORY_HEADER_SIGNATURE,
            spec.VERSION_MADE_BY,
            start,
            modified,
            crc_32,
            compressed_size,
            uncompressed_size,
            len(file_name),
            len(extra_field),
            0,  # file comment length
            0,  # disk number start
            0,  # internal file attributes
            external_file_attributes,
            offset_of_local_header,
        )
        + file_name
        + extra_field
    )


def local_file_header_of(headers: bytearray, start: int, stop: int) -> bytes:
    """Return the local file header of a member without Zip64: the other header has it all.

    That is in `headers`, from `start` to `stop`. All but offset and attributes is in both, in the
    same order. With a data descriptor, CRC-32 and sizes are there.
    """
    common = headers[start + 6 : start + 32]
    names = headers[start + CENTRAL_DIRECTORY_HEADER_LENGTH : stop]
    if common[2] & spec.FLAG_DATA_DESCRIPTOR:
        common[10:22] = bytes(12)
    return spec.LOCAL_FILE_HEADER_SIGNATURE + common + names


def data_descriptor_of(headers: bytearray, start: int, crc_32: int) -> bytes:
    """Return the data descriptor of a member without Zip64: its header there has the sizes."""
    sizes = headers[start + 20 : start + 28]
    return spec.DATA_DESCRIPTOR_SIGNATURE + _CRC_32.pack(crc_32) + sizes


def set_crc_32(headers: bytearray, start: int, crc_32: int) -> None:
    """Set the CRC-32 of the central directory header that starts there, of whatever kind it is."""
    _CRC_32.pack_into(headers, start + _CRC_32_IN_CENTRAL_DIRECTORY_HEADER, crc_32)


def zip64_central_directory_header(
    start: bytes,
    modified: int,
    crc_32: int,
    compressed_size: int,
    uncompressed_size: int,
    external_file_attributes: int,
    offset_of_local_header: int,
    file_name: bytes,
    extra_field: bytes,
) -> bytes:
    """Return a central directory header with sizes and offset in Zip64's extra field (4.5.3)."""
    zip64 = _ZIP64_ALL.pack(
        spec.EXTRA_ZIP64, 24, uncompressed_size, compressed_size, offset_of_local_header
    )
    extra_field = zip64 + extra_field
    attributes, full = external_file_attributes, spec.MAX_32
    return central_directory_header(
        start, modified, crc_32, full, full, attributes, full, file_name, extra_field
    )


def partly_zip64_central_directory_header(
    zip64_sizes: bool,
    start: bytes,
    modified: int,
    crc_32: int,
    compressed_size: int,
    uncompressed_size: int,
    external_file_attributes: int,
    offset_of_local_header: int,
    file_name: bytes,
    extra_field: bytes,
) -> bytes:
    """Return a central directory header with sizes or offset in Zip64's extra field (4.5.3).

    A value of just 0xFFFFFFFF is there too: it is what sends readers to that field.
    """
    values = uncompressed_size, compressed_size, offset_of_local_header
    are_zip64 = zip64_sizes, zip64_sizes, not zip64_sizes
    fields = [spec.MAX_32 if is_zip64 else v for v, is_zip64 in zip(values, are_zip64, strict=True)]
    in_extra_field = [v for v, field in zip(values, fields, strict=True) if field == spec.MAX_32]
    extra_field = zip64_extended_information(*in_extra_field) + extra_field
    size, compressed, offset = fields
    attributes = external_file_attributes
    return central_directory_header(
        start, modified, crc_32, compressed, size, attributes, offset, file_name, extra_field
    )


def end_of_central_directory(
    *, entries: int, size: int, offset: int, comment: bytes = b""
) -> bytes:
    """Return an end of central directory record (4.3.16). Values must fit."""
    record = _END_OF_CENTRAL_DIRECTORY.pack(
        spec.END_OF_CENTRAL_DIRECTORY_SIGNATURE, 0, 0, entries, entries, size, offset, len(comment)
    )
    return record + comment


def zip64_end_of_central_directory(
    *, entries: int, size: int, offset: int, comment: bytes = b""
) -> bytes:
    """Return all three end records of a Zip64 archive (4.3.14 to 4.3.16)."""
    record = _ZIP64_END_OF_CENTRAL_DIRECTORY.pack(
        spec.ZIP64_END_OF_CENTRAL_DIRECTORY_SIGNATURE,
        _ZIP64_END_OF_CENTRAL_DIRECTORY.size - 12,  # 4.3.14.1: less signature and this field
        spec.VERSION_MADE_BY,
        spec.VERSION_ZIP64,
        0,  # number of this disk
        0,  # number of the disk with the start of the central directory
        entries,
        entries,
        size,
        offset,
    )
    locator = _ZIP64_END_OF_CENTRAL_DIRECTORY_LOCATOR.pack(
        spec.ZIP64_END_OF_CENTRAL_DIRECTORY_LOCATOR_SIGNATURE, 0, offset + size, 1
    )
    # 4.4.1.4: the classic record sends readers to the Zip64 one.
    end = end_of_central_directory(
        entries=spec.MAX_16, size=spec.MAX_32, offset=spec.MAX_32, comment=comment
    )
    return record + locator + end


def zip64_extended_information(*values: int) -> bytes:
    """Return Zip64's extra field (4.5.3).

    `values` are those of uncompressed size, compressed size and offset of the local header, in this
    order, whose own field is 0xFFFFFFFF.
    """
    layout = _ZIP64_EXTENDED_INFORMATION[len(values)]
    if layout is None:
        return b""
    return layout.pack(spec.EXTRA_ZIP64, 8 * len(values), *values)


def extended_timestamp(modified_at: datetime) -> bytes:
    """Return Info-ZIP's extra field 0x5455, with only the modification time, in seconds since 1970.

    The field is a signed 32-bit number; a time outside of it becomes the nearest it can hold.
    """
    try:
        seconds = floor(modified_at.timestamp())
    except (OverflowError, OSError, ValueError):
        # A naive time near year 1 or 9999, which the platform can't convert.
        seconds = -spec.MAX_32 if modified_at.year < 1970 else spec.MAX_32
    if not -0x80000000 <= seconds <= 0x7FFFFFFF:
        seconds = 0x7FFFFFFF if seconds > 0 else -0x80000000
    return _EXTENDED_TIMESTAMP.pack(spec.EXTRA_EXTENDED_TIMESTAMP, 5, 1, seconds)


def aes_extra_field(compression_method: int) -> bytes:
    """Return WinZip's extra field 0x9901: AE-2, AES-256, and the compression method underneath."""
    return _AES.pack(spec.EXTRA_AES, 7, 2, b"AE", 3, compression_method)


def msdos_time(modified_at: datetime) -> int:
    """Return the MS-DOS date (high 16 bits) and time (low 16 bits) of a wall-clock time (4.4.6).

    It counts from 1980 to 2107 in steps of 2 seconds; a time outside becomes the nearest it holds.
    """
    year = modified_at.year - 1980
    if year < 0:
        return _EARLIEST_MSDOS_TIME
    if year > 127:
        return _LATEST_MSDOS_TIME
    return (
        year << 25
        | modified_at.month << 21
        | modified_at.day << 16
        | modified_at.hour << 11
        | modified_at.minute << 5
        | modified_at.second >> 1
    )
