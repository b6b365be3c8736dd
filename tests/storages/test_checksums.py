"""The CRC-32 that S3 knows: believed only where it can't be anything else."""

from __future__ import annotations

import base64
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import NO_COMPRESSION_AUTO, stream_zip
from django_stream_zip.engine.errors import ZipIntegrityError
from django_stream_zip.members import storage_member
from django_stream_zip.members.readers import combine
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.plan import Plan
from tests.support import clients
from tests.support.contents import NoChecksums, Pattern
from tests.support.contract import DATA, MIB
from tests.support.object_store import BUCKET, S3Handler, Store, serving

CRC_32 = zlib.crc32(DATA)
PARTS = [MIB, 2 * MIB, 12_345]


def encoded(crc_32: int) -> str:
    return base64.b64encode(crc_32.to_bytes(4, "big")).decode()


def composite(sizes: list[int] = PARTS) -> str:
    """Return the checksum of parts' checksums."""
    position, checksums = 0, b""
    for size in sizes:
        checksums += zlib.crc32(DATA[position : position + size]).to_bytes(4, "big")
        position += size
    return encoded(zlib.crc32(checksums))


def headers(value: str | None, kind: str | None) -> dict[str, str]:
    told = {"x-amz-checksum-crc32": value, "x-amz-checksum-type": kind}
    return {name: text for name, text in told.items() if text is not None}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, Store]]:
    with serving(S3Handler) as (store, url), clients.s3(url, BUCKET) as storage:
        yield storage, store


@pytest.fixture
def store(served: tuple[Any, Store]) -> Store:
    served[1].reset()
    return served[1]


@pytest.fixture
def storage(served: tuple[Any, Store]) -> Any:
    return served[0]


def member_of(storage: Any, **kwargs: Any) -> Any:
    return storage_member(storage, "photo.jpg", **kwargs)


def test_a_checksum_of_the_whole_object_is_known_ahead(storage: Any, store: Store) -> None:
    store.put("photo.jpg", DATA, headers=headers(encoded(CRC_32), "FULL_OBJECT"))
    member = member_of(storage)
    assert member[3] == NO_COMPRESSION_AUTO(len(DATA), CRC_32)
    assert member[4].crc_32 == CRC_32
    assert store.asked == ["head"]
    assert store.headers[0]["x-amz-checksum-mode"] == "ENABLED"
    plan = Plan.of([member])
    archive = b"".join(stream_zip([member]))
    assert plan is not None
    assert plan.length == len(archive)
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        found = opened.infolist()[0]
        assert (found.compress_type, found.CRC) == (zipfile.ZIP_STORED, CRC_32)
        assert found.flag_bits & 8 == 0  # no data descriptor
        assert opened.read(found) == DATA


UNTRUSTED = {
    "none at all": headers(None, None),
    "a composite that says so": headers(composite() + "-3", "COMPOSITE"),
    # moto, HEAD.
    "a composite that says nothing": headers(composite(), None),
    # ministack.
    "a composite that says it is whole": headers(composite() + "-3", "FULL_OBJECT"),
    "a composite by its type only": headers(composite(), "COMPOSITE"),
    "one without a type": headers(encoded(CRC_32), None),
    "five bytes": headers(base64.b64encode(b"12345").decode(), "FULL_OBJECT"),
    "three bytes": headers(base64.b64encode(b"123").decode(), "FULL_OBJECT"),
    "no Base64": headers("????", "FULL_OBJECT"),
    "nothing": headers("", "FULL_OBJECT"),
    "another algorithm": {
        "x-amz-checksum-crc64nvme": "AAAAAAAAAAA=",
        "x-amz-checksum-type": "FULL_OBJECT",
    },
}


@pytest.mark.parametrize("told", UNTRUSTED.values(), ids=UNTRUSTED)
def test_any_other_checksum_is_not_believed(
    told: dict[str, str], storage: Any, store: Store
) -> None:
    store.put("photo.jpg", DATA, headers=told)
    assert member_of(storage)[4].crc_32 is None
    assert store.asked == ["head"]


def test_a_checksum_of_what_is_stored_packed_is_not_that_of_what_is_unpacked(
    storage: Any, store: Store
) -> None:
    store.put("photo.jpg", DATA, encoding="gzip", headers=headers(encoded(CRC_32), "FULL_OBJECT"))
    assert member_of(storage, decode=True)[4].crc_32 is None
    assert member_of(storage, decode=False)[4].crc_32 == CRC_32


def test_a_wrong_checksum_fails_the_archive(storage: Any, store: Store) -> None:
    store.put("photo.jpg", DATA, headers=headers(encoded(CRC_32 ^ 1), "FULL_OBJECT"))
    member = tuple(member_of(storage))
    del store.objects["photo.jpg"].headers["x-amz-checksum-crc32"]  # botocore would check it too
    blocks: list[bytes] = []
    with pytest.raises(ZipIntegrityError):
        blocks.extend(stream_zip([member]))
    assert b"PK\x05\x06" not in b"".join(blocks)[-100:]


def test_a_wrong_checksum_of_a_response_fails_the_archive(storage: Any, store: Store) -> None:
    store.put("photo.jpg", DATA, headers=headers(encoded(CRC_32 ^ 1), "FULL_OBJECT"))
    with pytest.raises(Exception, match=r"checksum|CRC"):
        list(stream_zip([member_of(storage)]))


def test_a_checksum_the_caller_knows_is_the_one(storage: Any, store: Store) -> None:
    store.put("photo.jpg", DATA, headers=headers(encoded(1), "FULL_OBJECT"))
    assert member_of(storage, crc_32=CRC_32)[4].crc_32 == CRC_32


# Checksums of parts, for those who want them.


@pytest.fixture
def _with_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from django_stream_zip.members.readers import register_reader, table

    monkeypatch.setattr(table, "_READERS", dict(table._READERS))
    register_reader(
        "storages.backends.s3.S3Storage", "django_stream_zip.members.readers.s3.S3PartsReader"
    )


@pytest.mark.usefixtures("_with_parts")
@pytest.mark.parametrize("value", [composite() + "-3", composite()], ids=["with -3", "without"])
def test_checksums_of_parts_are_folded(value: str, storage: Any, store: Store) -> None:
    store.put("photo.jpg", DATA, headers=headers(value, "COMPOSITE"), parts=PARTS)
    assert member_of(storage)[4].crc_32 == CRC_32
    assert store.asked == ["head", "attributes", "attributes"]  # two parts each


@pytest.mark.usefixtures("_with_parts")
def test_a_checksum_of_the_whole_object_needs_no_parts(storage: Any, store: Store) -> None:
    store.put("photo.jpg", DATA, headers=headers(encoded(CRC_32), "FULL_OBJECT"), parts=PARTS)
    assert member_of(storage)[4].crc_32 == CRC_32
    assert store.asked == ["head"]


@pytest.mark.usefixtures("_with_parts")
@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (composite(), PARTS[:-1]),
        (composite(), []),
        (composite([2 * MIB, MIB, 12_345]), PARTS),
        ("AAAAAA==-3", PARTS),
        ("-3", PARTS),
    ],
    ids=["one is missing", "all are missing", "other parts", "wrong", "none"],
)
def test_parts_that_do_not_make_the_object_are_not_believed(
    value: str, parts: list[int], storage: Any, store: Store
) -> None:
    store.put("photo.jpg", DATA, headers=headers(value, "COMPOSITE"), parts=parts)
    assert member_of(storage)[4].crc_32 is None


@pytest.mark.usefixtures("_with_parts")
def test_a_store_that_tells_nothing_of_parts_is_no_error(
    storage: Any, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("photo.jpg", DATA, headers=headers(composite() + "-3", "COMPOSITE"), parts=PARTS)
    monkeypatch.setattr(S3Handler, "send_attributes", lambda self, stored: self.refuse(403))
    assert member_of(storage)[4].crc_32 is None
    assert "photo.jpg" in caplog.text


@pytest.mark.usefixtures("_with_parts")
def test_a_store_cannot_forge_a_line_of_the_log(
    storage: Any, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: S3Handler, stored: Any) -> None:
        data = b"<Error><Code>No</Code><Message>no\nERROR forged</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    store.put("photo.jpg", DATA, headers=headers(composite() + "-3", "COMPOSITE"), parts=PARTS)
    monkeypatch.setattr(S3Handler, "send_attributes", refuse)
    assert member_of(storage)[4].crc_32 is None
    (record,) = [one for one in caplog.records if "photo.jpg" in one.getMessage()]
    assert "forged" in record.getMessage()
    assert "\n" not in record.getMessage()


# Archives of large objects.


def test_the_end_of_a_large_archive_costs_its_own_bytes_only(storage: Any, store: Store) -> None:
    size = 5 << 30
    store.put("film.mp4", Pattern(size), headers=headers(encoded(0x12345678), "FULL_OBJECT"))
    members = [storage_member(storage, "film.mp4") for _ in "a"]
    plan = Plan.of(members)
    assert plan is not None
    assert plan.length > size
    window = plan.window(plan.length - MIB, plan.length, checksums=NoChecksums())
    read = b"".join(window)
    assert len(read) == MIB
    assert store.sent <= 2 * MIB
    assert store.asked == ["head", "get"]
    assert (
        read[:1000] == Pattern(size)[size - MIB + (plan.length - size - len(head(plan))) :][:1000]
    )


def head(plan: Plan) -> bytes:
    """Return what comes before the first content."""
    window = plan.window(0, 100, checksums=NoChecksums())
    local = next(window)
    window.close()
    names, extras = (int.from_bytes(local[at : at + 2], "little") for at in (26, 28))
    return local[: 30 + names + extras]


def test_what_was_replaced_since_the_plan_fails_its_range(storage: Any, store: Store) -> None:
    store.put("film.mp4", DATA, headers=headers(encoded(CRC_32), "FULL_OBJECT"))
    plan = Plan.of([storage_member(storage, "film.mp4")])
    assert plan is not None
    store.put("film.mp4", DATA)
    with pytest.raises(ContentChangedError):
        list(plan.window(MIB, plan.length, checksums=NoChecksums()))


def test_the_entity_tag_changes_with_the_object(storage: Any, store: Store) -> None:
    def tag() -> str | None:
        plan = Plan.of([storage_member(storage, "film.mp4")])
        return plan and plan.entity_tag

    store.put("film.mp4", DATA)
    first = tag()
    assert first == tag() is not None
    store.put("film.mp4", DATA[::-1])
    assert tag() != first


# Combination.


@given(st.binary(max_size=1000), st.binary(max_size=1000))
def test_checksums_are_combined(first: bytes, second: bytes) -> None:
    expected = zlib.crc32(first + second)
    arguments = zlib.crc32(first), zlib.crc32(second), len(second)
    assert combine.combined_in_python(*arguments) == expected
    assert combine.combined(*arguments) == expected


@given(st.lists(st.binary(max_size=100)))
def test_checksums_of_many_are_folded(parts: list[bytes]) -> None:
    told = [(zlib.crc32(part), len(part)) for part in parts]
    assert combine.combined_parts(told) == zlib.crc32(b"".join(parts))


def test_what_is_appended_may_be_terabytes() -> None:
    zeros, length = 0, 1
    for _ in range(42):
        zeros = (
            combine.combined_in_python(zeros, zeros, length) if length > 1 else zlib.crc32(b"\0")
        )
        length *= 2
    assert combine.combined_in_python(0, 5, 1 << 42) == 5
    assert 0 <= combine.combined_in_python(1, 5, 1 << 42) <= 0xFFFFFFFF
