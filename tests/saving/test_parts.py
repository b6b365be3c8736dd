"""How an archive is divided: sizes that storages take, and archives that can't be."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import NO_COMPRESSION_AUTO, PRECOMPRESSED, ZIP_AUTO, stream_zip
from django_stream_zip.saving import (
    ArchiveChangedError,
    NotDivisibleError,
    PartSizeError,
    save_zip,
    zip_parts,
)
from django_stream_zip.saving.archive import ZipSource, in_parts
from django_stream_zip.saving.writers import memory
from django_stream_zip.saving.writers.writer import (
    MIB,
    Limits,
    UploadToken,
    part_count,
    part_sizes,
)
from tests.support.contents import MODE, TIME, CountingContent
from tests.support.saving import stored

S3 = Limits(8 * MIB, 5 * MIB, 5 << 30, 10_000, doubled_after=1000)


@given(st.integers(0, 48 << 40))
def test_parts_of_any_length_are_few_enough(length: int) -> None:
    size = S3.part_size(length)
    assert size % MIB == 0
    assert S3.minimum <= size <= S3.maximum
    assert part_count(length, size) <= S3.number


@given(st.integers(0, 10**6), st.integers(1, 10**5))
def test_sizes_are_those_of_the_whole(length: int, size: int) -> None:
    sizes = part_sizes(length, size)
    assert sum(sizes) == length
    assert len(sizes) == part_count(length, size)
    assert set(sizes[:-1]) <= {size}


@pytest.mark.parametrize(
    ("length", "wanted", "message"),
    [
        (100, 5 * MIB - 1, "from 5,242,880"),
        (100, (5 << 30) + 1, "from 5,242,880"),
        (100, 5.5 * MIB, "from 5,242,880"),
        (10_000 * 5 * MIB + 1, 5 * MIB, "part_size must be 5,242,881 or more"),
    ],
)
def test_sizes_that_cannot_be_are_refused(length: int, wanted: Any, message: str) -> None:
    with pytest.raises(PartSizeError, match=message):
        S3.part_size(length, wanted)


def test_parts_of_unknown_number_grow() -> None:
    sizes = [S3.size_of(number, 8 * MIB, is_fixed=False) for number in range(1, 10_001)]
    assert sizes[0] == sizes[999] == 8 * MIB
    assert sizes[1000] == 16 * MIB
    assert sum(sizes) > 5 << 40
    assert S3.size_of(1, 5 << 30, is_fixed=True, length=22) == 22
    with pytest.raises(PartSizeError, match="more than 10,000 parts"):
        S3.size_of(10_001, 8 * MIB, is_fixed=True)


@given(st.lists(st.binary(max_size=50)), st.integers(1, 20))
def test_blocks_become_parts(blocks: list[bytes], size: int) -> None:
    parts = [bytes(data) for _, data in in_parts(blocks, lambda number: size)]
    assert b"".join(parts) == b"".join(blocks)
    assert [*map(len, parts)] == part_sizes(len(b"".join(blocks)), size)


def test_more_than_ten_thousand_parts_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as S3 takes, of one byte each."""
    store = InMemoryStorage()
    monkeypatch.setattr(memory.MemoryWriter, "limits", Limits(number=S3.number))
    members = [stored("a", bytes(S3.number))]
    with pytest.raises(PartSizeError, match=r"part_size must be 2 or more"):
        save_zip(store, "a.zip", members, part_size=1)
    with pytest.raises(PartSizeError, match=r"more than 10,000 parts of 1 bytes"):
        save_zip(store, "a.zip", iter(members), part_size=1)
    assert store.listdir("") == ([], [])
    assert not memory._uploads.get(store)
    assert save_zip(store, "a.zip", iter(members), part_size=2).members == 1


def test_a_part_takes_no_more_memory_than_the_archive(tmp_path: Path) -> None:
    members = [stored("a", b"data")]
    tracemalloc.start()
    try:
        save_zip(FileSystemStorage(tmp_path), "a.zip", members, part_size=1 << 40)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def test_too_many_parts_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    store = InMemoryStorage()
    monkeypatch.setattr(memory.MemoryWriter, "limits", Limits(number=3))
    members = [stored("a", random.Random(1).randbytes(10_000))]
    for each in (members, iter(members)):
        with pytest.raises(PartSizeError):
            save_zip(store, "a.zip", each, part_size=1000)
    assert not store.exists("a.zip")
    assert not memory._uploads[store]


def test_the_crc_32_of_the_whole_follows_from_the_members() -> None:
    members = [stored(f"{n}.bin", random.Random(n).randbytes(n * 10_000)) for n in range(5)]
    assert ZipSource(members).crc_32 == zlib.crc32(b"".join(stream_zip(members)))


def test_what_is_deflated_already_is_divided_too() -> None:
    data = bytes(20_000) + random.Random(1).randbytes(20_000)
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = compressor.compress(data) + compressor.flush()
    method = PRECOMPRESSED(len(deflated), len(data), zlib.crc32(data))
    members = [stored("a", b"data"), ("b", TIME, MODE, method, CountingContent(deflated))]
    store = InMemoryStorage()
    parts = zip_parts(store, "a.zip", members, part_size=5000)
    for number in parts.missing():
        parts.save(number)
    parts.complete()
    with store.open("a.zip") as file:
        assert file.read() == b"".join(stream_zip(members))


def unknown(name: str) -> Any:
    content = CountingContent(b"data")
    return name, TIME, MODE, NO_COMPRESSION_AUTO(4), content


def without_state(name: str) -> Any:
    return stored(name, b"data", validator=None)


def compressed(name: str) -> Any:
    return name, TIME, MODE, ZIP_AUTO(4), [b"data"]


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (unknown, "the CRC-32 of member 'a'"),
        (without_state, "whose state nobody knows"),
        (compressed, "compressed"),
    ],
)
def test_what_cannot_be_divided_says_why(member: Callable[[str], Any], why: str) -> None:
    store = InMemoryStorage()
    with pytest.raises(NotDivisibleError, match=why):
        zip_parts(store, "a.zip", [member("a")])
    # It is saved in turn, however many there are to do it.
    begun: list[str] = []
    saved = save_zip(store, "a.zip", [member("a")], workers=4, begun=begun.append)
    assert store.size("a.zip") == saved.length
    assert begun == []


def test_a_part_that_is_none_is_refused() -> None:
    parts = zip_parts(InMemoryStorage(), "a.zip", [stored("a", b"data")])
    for number in (0, len(parts) + 1):
        with pytest.raises(ValueError, match="there is no"):
            parts.save(number)


WRONG: list[Any] = [
    ({"workers": 0}, "workers must be"),
    ({"workers": 2.5}, "workers must be"),
    ({"workers": "4"}, "workers must be"),
    ({"workers": None}, "workers must be"),
    ({"name": None}, "name must be a str, not NoneType"),
    ({"name": b"a.zip"}, "name must be a str, not bytes"),
    ({"storage": "default"}, "expected a storage, got str"),
    ({"storage": None}, "expected a storage, got NoneType"),
    ({"storage": InMemoryStorage}, "expected a storage, got InMemoryStorage"),
    ({"resume": 5}, "'5' is not the token"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=str)
def test_wrong_arguments_are_refused_before_anything_is_begun(
    wrong: dict[str, Any], message: str
) -> None:
    store, begun = InMemoryStorage(), list[str]()
    arguments = {"storage": store, "name": "a.zip", "members": [stored("a", b"data")], **wrong}
    with pytest.raises((TypeError, ValueError), match=message):
        save_zip(**arguments, begun=begun.append)
    assert not begun
    assert not memory._uploads.get(store)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"name": "a"}'])
def test_a_token_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the token"):
        zip_parts(InMemoryStorage(), "a.zip", [], token=text)


def test_a_token_is_read_as_it_was_written() -> None:
    token = UploadToken("a.zip", "id", "mark", 5, 7, '"tag"')
    assert UploadToken.loads(token.dumps()) == token


def test_other_processes_see_what_part_was_wrong() -> None:
    """Parts that are cut in a member whose content has another CRC-32 are not published."""
    data = random.Random(1).randbytes(10_000)
    content = CountingContent(data)
    member = "a", TIME, MODE, NO_COMPRESSION_AUTO(len(data), 1), content
    store = InMemoryStorage()
    parts = zip_parts(store, "a.zip", [member], part_size=4000)
    for number in parts.missing():
        parts.save(number)
    with pytest.raises(Exception, match="its member declares"):
        zip_parts(store, "a.zip", [member], token=parts.token).complete()
    assert not store.exists("a.zip")


OPTIONS: dict[str, Any] = {"comment": "Of the album", "extended_timestamps": False}


def test_parts_have_the_comment_and_the_times_that_were_asked_for() -> None:
    store, members = InMemoryStorage(), [stored("a.jpg", b"x" * 50), stored("b.jpg", b"y" * 50)]
    parts = zip_parts(store, "a.zip", members, part_size=100, **OPTIONS)
    for number in parts.missing():
        parts.save(number)
    parts.complete()
    with store.open("a.zip") as file:
        assert file.read() == b"".join(stream_zip(members, **OPTIONS))


@pytest.mark.parametrize("other", [{"comment": "Another"}, {"extended_timestamps": True}])
def test_parts_of_another_comment_or_times_are_those_of_another_archive(
    other: dict[str, Any],
) -> None:
    store, members = InMemoryStorage(), [stored("a.jpg", b"x" * 50)]
    token = zip_parts(store, "a.zip", members, **OPTIONS).token
    with pytest.raises(ArchiveChangedError):
        zip_parts(store, "a.zip", members, token=token, **OPTIONS | other)
    assert zip_parts(store, "a.zip", members, token=token, **OPTIONS).missing() == [1]
