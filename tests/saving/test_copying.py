"""Archives of what a storage has itself, in memory: the bytes are right, whatever is copied.

The stores that really copy are in `tests.storages.test_copying`.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from django.core.files.storage import InMemoryStorage
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import NO_COMPRESSION_AUTO, CRC32IntegrityError, stream_zip
from django_stream_zip.engine.members import MemberFile
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.saving import SavedZip, save_zip
from django_stream_zip.saving.writers.copy_source import CopyRefusedError, CopySource
from django_stream_zip.saving.writers.memory import MemoryWriter
from django_stream_zip.saving.writers.writer import Limits, Part
from tests.support.contents import CountingContent, counting_member

NAME = "archive.zip"
MINIMUM = 1000
NOISE = random.Random(3).randbytes(400_000)

pytestmark = pytest.mark.usefixtures("_writer")


class CopyingStorage(InMemoryStorage):
    """A storage that has the contents of all members, in one place or more."""

    computes = True  # CRC-32s of what it copies
    refused: Sequence[str] = ()  # places from which it copies nothing
    uncopyable: Sequence[str] = ()  # what it can't copy as it is, when it is asked
    replaced: Sequence[str] = ()
    copied: int = 0


@dataclass
class Source(CopySource):
    """A content: what its identity begins with is its place."""

    storage: CopyingStorage
    content: CountingContent
    place: str = field(init=False)

    def __post_init__(self) -> None:
        self.place = self.content.identity.partition("/")[0]

    def is_copyable(self, size: int) -> bool:
        assert len(self.content.data) == size
        return self.content.identity not in self.storage.uncopyable

    def copy_part(self, upload: Any, number: int, start: int, stop: int) -> None:
        if self.place in self.storage.refused:
            raise CopyRefusedError(self.place)
        if self.content.identity in self.storage.replaced:
            raise ContentChangedError(self.content.identity)
        data = self.content.data[start:stop]
        upload.write_part(number, data, zlib.crc32(data))
        self.storage.copied += len(data)
        if not self.storage.computes:
            upload.written[number] = Part(len(data))


class CopyingWriter(MemoryWriter):
    limits: ClassVar[Limits] = Limits(default=1500, minimum=MINIMUM, maximum=9000, number=1 << 20)

    def copy_source(self, content: Any) -> CopySource | None:
        is_here = not content.identity.startswith("elsewhere")
        return Source(self.storage, content) if is_here else None


@pytest.fixture(scope="module")
def _writer() -> Iterator[None]:
    from django.test import override_settings

    path = f"{__name__}.{{}}".format
    writers = {path("CopyingStorage"): path("CopyingWriter")}
    with override_settings(DJANGO_STREAM_ZIP={"WRITERS": writers}):
        yield


def noise(size: int, seed: int = 0) -> bytes:
    return NOISE[seed : seed + size]


def member(identity: str, size: int, *, known: bool = True, crc_32: int | None = None) -> Any:
    name, at, mode, method, content = counting_member(
        identity.replace("/", "-"), noise(size, len(identity)), identity=identity, promised=known
    )
    method = method if crc_32 is None else method._replace(crc_32=crc_32)
    return name, at, mode, method, content


def archive(members: Sequence[MemberFile], copied: Sequence[int] = ()) -> bytes:
    """Return what is streamed, where the CRC-32s of some are known."""
    known = list(members)
    for number in copied:
        name, at, mode, _, content = members[number]
        data = b"".join(content)
        known[number] = name, at, mode, NO_COMPRESSION_AUTO(len(data), zlib.crc32(data)), content
    return b"".join(stream_zip(known))


def save(storage: CopyingStorage, members: Any, **options: Any) -> SavedZip:
    return save_zip(storage, NAME, members, part_size=1500, **options)


def got(storage: InMemoryStorage) -> bytes:
    with storage.open(NAME) as file:
        return file.read()


def test_what_is_copied_is_not_read() -> None:
    storage = CopyingStorage()
    members = [member("first", 20_000), member("small", 300), member("second", 30_000)]
    done: list[tuple[int, int | None]] = []
    saved = save(storage, members, progress=lambda *both: done.append(both))
    whole = archive(members)
    assert got(storage) == whole
    assert len(whole) - saved.bytes_copied == saved.bytes_sent
    assert saved.bytes_copied == storage.copied
    assert done[-1] == (len(whole), len(whole))
    assert [bytes_done for bytes_done, _ in done] == sorted(bytes_done for bytes_done, _ in done)
    response = save_zip(storage, "streamed.zip", members, copy=False, part_size=1500)
    assert (response.length, response.entity_tag) == (saved.length, saved.entity_tag)
    assert (response.bytes_sent, response.bytes_copied) == (len(whole), 0)


def test_contents_are_read_only_where_they_are_sent() -> None:
    members = [member("first", 20_000), member("second", 30_000)]
    save(CopyingStorage(), members)
    first, second = (content for *_, content in members)
    assert first.was_given == (0, MINIMUM - 39 - len("first"))
    assert second.was_given is not None
    assert second.was_given[1] < MINIMUM
    assert first.opened == second.opened == 1


sizes = st.integers(0, 1200) | st.integers(0, 30_000)
places = st.sampled_from(["here", "there", "elsewhere"])


@given(
    st.lists(st.tuples(places, sizes, st.booleans()), max_size=12),
    st.booleans(),
    st.sets(st.integers(0, 11)),
    st.sampled_from([(), ("there",), ("here", "there")]),
)
def test_whatever_is_copied_the_archive_is_right(
    drawn: list[tuple[str, int, bool]], computes: bool, uncopyable: set[int], refused: Any
) -> None:
    storage = CopyingStorage()
    storage.computes, storage.refused = computes, refused
    members = [
        member(f"{place}/{number}", size, known=known)
        for number, (place, size, known) in enumerate(drawn)
    ]
    storage.uncopyable = [members[n][4].identity for n in uncopyable if n < len(members)]
    saved = save(storage, members, workers=3)
    whole = got(storage)
    # Which members were copied is seen by how they are written: stored, or in blocks.
    unknown = [n for n, one in enumerate(members) if one[3].crc_32 is None]
    stored = [n for n in unknown if saved.bytes_copied and _is_stored(whole, n)]
    assert whole == archive(members, stored)
    assert computes or not stored
    assert saved.bytes_sent + saved.bytes_copied == saved.length == len(whole)
    assert (saved.entity_tag is None) == bool(stored)
    if not any(place in ("here", "there") and place not in refused for place, *_ in drawn):
        assert saved.bytes_copied == 0


def _is_stored(whole: bytes, number: int) -> bool:
    import zipfile
    from io import BytesIO

    return zipfile.ZipFile(BytesIO(whole)).infolist()[number].compress_type == zipfile.ZIP_STORED


def test_a_thousand_members_of_many_sizes() -> None:
    """Those of an S3 bucket, of 1 to 300 MB, each a thousandth of that, and so the least part."""
    chosen = random.Random(5)
    sizes = [chosen.randint(1, 300) * 200 for _ in range(1000)]  # of 5,000 here 1,000
    storage = CopyingStorage()
    members = [member(f"{number}", size) for number, size in enumerate(sizes)]
    saved = save(storage, members)
    assert got(storage) == archive(members)
    copied = [size for size in sizes if size >= 2 * MINIMUM]
    headers = saved.length - sum(sizes)
    predicted = headers + sum(sizes) - sum(copied) + len(copied) * MINIMUM
    assert saved.bytes_sent <= predicted


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("at", range(6))
def test_after_an_error_nothing_is_there(error: type[BaseException], at: int) -> None:
    storage = CopyingStorage()
    members = [member("first", 9_000), member("second", 9_000)]
    calls: list[int] = []

    def progress(done: int, total: int | None) -> None:
        calls.append(done)
        if len(calls) > at:
            raise error

    try:
        save(storage, members, progress=progress)
    except error:
        assert not storage.exists(NAME)
    else:
        assert len(calls) <= at


def test_a_replaced_one_is_an_error() -> None:
    storage = CopyingStorage()
    storage.replaced = ["second"]
    with pytest.raises(ContentChangedError):
        save(storage, [member("first", 9_000), member("second", 9_000)])
    assert not storage.exists(NAME)


def test_a_wrong_crc_32_is_an_error_where_the_storage_computes_it() -> None:
    storage = CopyingStorage()
    with pytest.raises(CRC32IntegrityError, match="'second'"):
        save(storage, [member("first", 9_000), member("second", 9_000, crc_32=1)])
    assert not storage.exists(NAME)


@pytest.mark.parametrize("options", [{"copy": False}, {"password": "a password"}], ids=str)
def test_where_nothing_is_copied(options: Any) -> None:
    storage = CopyingStorage()
    members = [member("first", 9_000), member("elsewhere", 9_000)]
    saved = save(storage, members, **options)
    assert (saved.bytes_copied, storage.copied) == (0, 0)
    assert saved.bytes_sent == saved.length
