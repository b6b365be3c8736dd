"""Each record byte by byte, and the two kinds of time: their fields and their ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from django_stream_zip.engine import records


def hexed(lines: str) -> bytes:
    """Read one field per line, hex first and the field's name behind '#'."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines.splitlines()))


def test_local_file_header() -> None:
    assert records.local_file_header(
        start=records.start_of_header(version_needed=20, flags=0x0808, compression_method=8),
        modified=0x12345678,
        crc_32=0xA1A2A3A4,
        compressed_size=0xB1B2B3B4,
        uncompressed_size=0xC1C2C3C4,
        file_name="ä.txt".encode(),
        extra_field=b"\x01\x00\x00\x00",
    ) == hexed(
        """
        50 4b 03 04        # local file header signature
        14 00              # version needed to extract
        08 08              # general purpose bit flag
        08 00              # compression method
        78 56              # last mod file time
        34 12              # last mod file date
        a4 a3 a2 a1        # crc-32
        b4 b3 b2 b1        # compressed size
        c4 c3 c2 c1        # uncompressed size
        06 00              # file name length
        04 00              # extra field length
        c3 a4 2e 74 78 74  # file name
        01 00 00 00        # extra field
        """
    )


def test_data_descriptor() -> None:
    assert records.data_descriptor(
        crc_32=0xA1A2A3A4, compressed_size=0xB1B2B3B4, uncompressed_size=0xC1C2C3C4
    ) == hexed(
        """
        50 4b 07 08  # signature
        a4 a3 a2 a1  # crc-32
        b4 b3 b2 b1  # compressed size
        c4 c3 c2 c1  # uncompressed size
        """
    )


def test_data_descriptor_of_zip64() -> None:
    assert records.zip64_data_descriptor(
        crc_32=0xA1A2A3A4,
        compressed_size=0xB1B2B3B4B5B6B7B8,
        uncompressed_size=0xC1C2C3C4C5C6C7C8,
    ) == hexed(
        """
        50 4b 07 08              # signature
        a4 a3 a2 a1              # crc-32
        b8 b7 b6 b5 b4 b3 b2 b1  # compressed size
        c8 c7 c6 c5 c4 c3 c2 c1  # uncompressed size
        """
    )


def test_central_directory_header() -> None:
    record = records.central_directory_header(
        start=records.start_of_header(version_needed=45, flags=0x0809, compression_method=99),
        modified=0x12345678,
        crc_32=0xA1A2A3A4,
        compressed_size=0xB1B2B3B4,
        uncompressed_size=0xC1C2C3C4,
        external_file_attributes=0xD1D2D3D4,
        offset_of_local_header=0xE1E2E3E4,
        file_name=b"a/",
        extra_field=b"\x01\x00\x00\x00",
    )
    assert record == hexed(
        """
        50 4b 01 02  # central file header signature
        2d 03        # version made by: 4.5 of the specification, UNIX
        2d 00        # version needed to extract
        09 08        # general purpose bit flag
        63 00        # compression method
        78 56        # last mod file time
        34 12        # last mod file date
        a4 a3 a2 a1  # crc-32
        b4 b3 b2 b1  # compressed size
        c4 c3 c2 c1  # uncompressed size
        02 00        # file name length
        04 00        # extra field length
        00 00        # file comment length
        00 00        # disk number start
        00 00        # internal file attributes
        d4 d3 d2 d1  # external file attributes
        e4 e3 e2 e1  # relative offset of local header
        61 2f        # file name
        01 00 00 00  # extra field
        """
    )
    assert len(record) == records.CENTRAL_DIRECTORY_HEADER_LENGTH + 2 + 4


def test_end_of_central_directory() -> None:
    assert records.end_of_central_directory(
        entries=0xA1A2, size=0xB1B2B3B4, offset=0xC1C2C3C4
    ) == hexed(
        """
        50 4b 05 06  # end of central dir signature
        00 00        # number of this disk
        00 00        # number of the disk with the start of the central directory
        a2 a1        # total number of entries in the central directory on this disk
        a2 a1        # total number of entries in the central directory
        b4 b3 b2 b1  # size of the central directory
        c4 c3 c2 c1  # offset of start of central directory
        00 00        # .ZIP file comment length
        """
    )


def test_end_records_of_zip64() -> None:
    assert records.zip64_end_of_central_directory(
        entries=0x01A2A3A4A5A6A7A8, size=0x01B2B3B4B5B6B7B8, offset=0x01C2C3C4C5C6C7C8
    ) == hexed(
        """
        50 4b 06 06              # zip64 end of central dir signature
        2c 00 00 00 00 00 00 00  # size of zip64 end of central directory record
        2d 03                    # version made by
        2d 00                    # version needed to extract
        00 00 00 00              # number of this disk
        00 00 00 00              # number of the disk with the start of the central directory
        a8 a7 a6 a5 a4 a3 a2 01  # total number of entries on this disk
        a8 a7 a6 a5 a4 a3 a2 01  # total number of entries
        b8 b7 b6 b5 b4 b3 b2 01  # size of the central directory
        c8 c7 c6 c5 c4 c3 c2 01  # offset of start of central directory

        50 4b 06 07              # zip64 end of central dir locator signature
        00 00 00 00              # disk with the start of the zip64 end of central directory
        80 7f 7d 7b 79 77 75 03  # relative offset of the zip64 end of central directory record
        01 00 00 00              # total number of disks

        50 4b 05 06              # end of central dir signature
        00 00                    # number of this disk
        00 00                    # number of the disk with the start of the central directory
        ff ff                    # entries on this disk: see the record of Zip64
        ff ff                    # entries: see there
        ff ff ff ff              # size of the central directory: see there
        ff ff ff ff              # offset of start of central directory: see there
        00 00                    # .ZIP file comment length
        """
    )


@pytest.mark.parametrize(
    ("values", "field"),
    [
        pytest.param((), "", id="none"),
        pytest.param((0x0102030405060708,), "01 00 08 00 0807060504030201", id="one"),
        pytest.param(
            (0x100000000, 0x100000001),
            "01 00 10 00 0000000001000000 0100000001000000",
            id="two",
        ),
        pytest.param(
            (1, 2, 3),
            "01 00 18 00 0100000000000000 0200000000000000 0300000000000000",
            id="three",
        ),
    ],
)
def test_zip64_extended_information(values: tuple[int, ...], field: str) -> None:
    assert records.zip64_extended_information(*values) == bytes.fromhex(field)


def test_extended_timestamp() -> None:
    assert records.extended_timestamp(datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)) == hexed(
        """
        55 54        # tag of the extra field, "UT"
        05 00        # total data size
        01           # flags: the modification time is present
        f0 79 e0 65  # modification time, seconds since 1970
        """
    )


def test_aes_extra_field() -> None:
    assert records.aes_extra_field(8) == hexed(
        """
        01 99  # extra field header ID
        07 00  # data size
        02 00  # vendor version: AE-2
        41 45  # vendor ID, "AE"
        03     # encryption strength: 256 bits
        08 00  # the actual compression method
        """
    )


def utc(*values: int) -> datetime:
    return datetime(*values, tzinfo=UTC)  # type: ignore[arg-type]


EARLIEST = (1980, 1, 1, 0, 0, 0)
LATEST = (2107, 12, 31, 23, 59, 58)


@pytest.mark.parametrize(
    ("modified_at", "fields"),
    [
        pytest.param(datetime.min, EARLIEST, id="the first naive time"),
        pytest.param(datetime.min.replace(tzinfo=UTC), EARLIEST, id="the first time"),
        pytest.param(utc(1970, 1, 1), EARLIEST, id="1970"),
        pytest.param(utc(1979, 12, 31, 23, 59, 59), EARLIEST, id="just before 1980"),
        pytest.param(utc(1980, 1, 1), EARLIEST, id="the start of 1980"),
        pytest.param(utc(1980, 1, 1, 0, 0, 2), (1980, 1, 1, 0, 0, 2), id="two seconds later"),
        pytest.param(utc(2040, 7, 6, 5, 4, 3), (2040, 7, 6, 5, 4, 2), id="an odd second"),
        pytest.param(utc(2024, 12, 31, 23, 59, 58), (2024, 12, 31, 23, 59, 58), id="all highest"),
        pytest.param(utc(2107, 12, 31, 23, 59, 59), LATEST, id="the end of 2107"),
        pytest.param(utc(2108, 1, 1), LATEST, id="2108"),
        pytest.param(utc(2200, 5, 5), LATEST, id="2200"),
        pytest.param(datetime.max, LATEST, id="the last naive time"),
        pytest.param(datetime.max.replace(tzinfo=UTC), LATEST, id="the last time"),
        pytest.param(
            datetime(2024, 1, 2, 3, 4, 6, tzinfo=timezone(timedelta(hours=-9))),
            (2024, 1, 2, 3, 4, 6),
            id="wall-clock of its own zone",
        ),
    ],
)
def test_msdos_time(modified_at: datetime, fields: tuple[int, ...]) -> None:
    number = records.msdos_time(modified_at)
    date, clock = number >> 16, number & 0xFFFF
    assert fields == (
        (date >> 9) + 1980,
        date >> 5 & 0xF,
        date & 0x1F,
        clock >> 11,
        clock >> 5 & 0x3F,
        (clock & 0x1F) * 2,
    )


FIRST, LAST = -(2**31), 2**31 - 1


@pytest.mark.parametrize(
    ("modified_at", "seconds"),
    [
        pytest.param(utc(1901, 12, 13, 20, 45, 52), FIRST, id="the first second"),
        pytest.param(utc(1901, 12, 13, 20, 45, 53), FIRST + 1, id="the second one"),
        pytest.param(utc(1901, 12, 13, 20, 45, 51), FIRST, id="just before the first second"),
        pytest.param(utc(1901, 1, 1), FIRST, id="1901"),
        pytest.param(datetime.min.replace(tzinfo=UTC), FIRST, id="the first time"),
        pytest.param(utc(1969, 12, 31, 23, 59, 59, 999_999), -1, id="just before 1970"),
        pytest.param(utc(1970, 1, 1), 0, id="1970"),
        pytest.param(utc(1970, 1, 1, 0, 0, 1, 999_999), 1, id="part of a second"),
        pytest.param(utc(2038, 1, 19, 3, 14, 7), LAST, id="the last second"),
        pytest.param(utc(2038, 1, 19, 3, 14, 6), LAST - 1, id="the last but one"),
        pytest.param(utc(2038, 1, 19, 3, 14, 8), LAST, id="just after the last second"),
        pytest.param(utc(2040, 1, 1), LAST, id="2040"),
        pytest.param(datetime.max.replace(tzinfo=UTC), LAST, id="the last time"),
        pytest.param(
            datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0, id="another zone"
        ),
    ],
)
def test_seconds_of_the_extended_timestamp(modified_at: datetime, seconds: int) -> None:
    field = records.extended_timestamp(modified_at)
    assert int.from_bytes(field[5:], "little", signed=True) == seconds


@pytest.fixture(params=["UTC0", "EAST-14", "WEST+12"])
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Be in a zone; give its offset in seconds."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield -time.timezone
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("modified_at", "seconds"),
    [
        pytest.param(datetime(1970, 1, 1), 0, id="1970"),
        pytest.param(datetime(2024, 2, 29, 12, 34, 56), 0x65E079F0, id="2024"),
    ],
)
def test_a_naive_time_is_a_local_one(here: int, modified_at: datetime, seconds: int) -> None:
    field = records.extended_timestamp(modified_at)
    assert int.from_bytes(field[5:], "little", signed=True) == seconds - here


@pytest.mark.parametrize(
    ("modified_at", "seconds"),
    [
        pytest.param(datetime.min, FIRST, id="the first"),
        pytest.param(datetime(1900, 1, 1), FIRST, id="1900"),
        pytest.param(datetime(2040, 1, 1), LAST, id="2040"),
        pytest.param(datetime.max, LAST, id="the last"),
    ],
)
def test_naive_times_at_the_ends_do_not_fail(
    here: int, modified_at: datetime, seconds: int
) -> None:
    field = records.extended_timestamp(modified_at)
    assert int.from_bytes(field[5:], "little", signed=True) == seconds


HEADER: dict[str, Any] = {
    "start": records.start_of_header(20, 0x0800, 0),
    "modified": 0x12345678,
    "crc_32": 0xA1A2A3A4,
    "compressed_size": 0xB1B2B3B4,
    "uncompressed_size": 0xB1B2B3B4,
    "file_name": "ä.txt".encode(),
    "extra_field": b"\x01\x00\x00\x00",
}
CENTRAL: dict[str, Any] = {
    "external_file_attributes": 0o644 << 16,
    "offset_of_local_header": 0xD1D2D3D4,
}


def test_one_header_of_a_stored_member_follows_from_the_other() -> None:
    central = bytearray(records.central_directory_header(**HEADER, **CENTRAL))
    assert records.local_file_header_of(central, 0, len(central)) == records.local_file_header(
        **HEADER
    )


def test_header_and_descriptor_of_a_member_follow_from_its_other_header() -> None:
    header = HEADER | {"start": records.start_of_header(20, 0x0808, 8)}
    local = records.local_file_header(
        **header | {"crc_32": 0, "compressed_size": 0, "uncompressed_size": 0}
    )
    central = bytearray(records.central_directory_header(**header | {"crc_32": 0}, **CENTRAL))
    assert records.local_file_header_of(central, 0, len(central)) == local
    assert records.data_descriptor_of(central, 0, 0xA1A2A3A4) == records.data_descriptor(
        0xA1A2A3A4, 0xB1B2B3B4, 0xB1B2B3B4
    )


@pytest.mark.parametrize(
    "header", [records.central_directory_header, records.zip64_central_directory_header]
)
def test_a_crc_32_is_set_in_a_central_directory_header(header: Callable[..., bytes]) -> None:
    headers = bytearray(header(**HEADER | {"crc_32": 0}, **CENTRAL) * 3)
    expected = header(**HEADER | {"crc_32": 0}, **CENTRAL), header(**HEADER, **CENTRAL)
    records.set_crc_32(headers, len(headers) // 3, 0xA1A2A3A4)
    assert headers == expected[0] + expected[1] + expected[0]
