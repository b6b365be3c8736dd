"""What every reader promises, as tests: `ReaderContract` for all, `FaultContract` for those that a
store is made for which fails as a test says.

A subclass has a fixture `store`.
"""

from __future__ import annotations

import random
import threading
import uuid
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest

from django_stream_zip import stream_zip
from django_stream_zip.members import TooManyMembersError, storage_member, storage_members
from django_stream_zip.members.readers import reader_for
from django_stream_zip.members.readers.reader import Metadata, Reader
from django_stream_zip.members.readers.remote import ObjectReader
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.plan import Plan
from tests.support.contents import NoChecksums
from tests.support.network import eventually
from tests.support.object_store import Faults, Store, Stored

TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
MIB = 1 << 20
DATA = random.Random(6).randbytes(3 * MIB + 12_345)
OTHER = DATA[::-1]

RANGES = [
    (0, None),
    (0, 0),
    (0, 1),
    (0, len(DATA)),
    (1, 2),
    (65_535, 65_537),
    (256 << 10, 512 << 10),
    (MIB, None),
    (2 * MIB, 3 * MIB),
    (len(DATA) - 1, None),
    (len(DATA) - 1, len(DATA)),
    (len(DATA), None),
    (123_456, 123_456),
]


class Place:
    """A storage under test, and a way to put files into it that isn't the reader's."""

    def __init__(self, storage: Any, *, detects_replacement: bool = True) -> None:
        self.storage = storage
        self.detects_replacement = detects_replacement

    def put(self, name: str, data: bytes) -> None:
        """Store or replace a file."""
        from django.core.files.base import ContentFile

        self.storage.delete(name)
        assert self.storage.save(name, ContentFile(data)) == name

    def delete(self, name: str) -> None:
        """Delete a file."""
        self.storage.delete(name)

    def reader(self, name: str, **kwargs: Any) -> Reader:
        """Return the reader of a file."""
        return reader_for(self.storage, name, **kwargs)


class ReaderContract:
    """What holds for every storage."""

    reader_class: str
    #: Whether it tells a file's size with any range of it.
    tells_size = True

    @pytest.fixture
    def name(self) -> str:
        return f"folder/{uuid.uuid4().hex}.bin"

    @pytest.fixture
    def reader(self, place: Place, name: str) -> Reader:
        place.put(name, DATA)
        return place.reader(name)

    def test_the_reader_is_the_one_for_the_storage(self, reader: Reader) -> None:
        assert type(reader).__name__ == self.reader_class

    def test_a_description_tells_size_time_and_state(self, reader: Reader) -> None:
        facts = reader.describe()
        assert facts.size == len(DATA)
        assert facts.modified_at is not None
        assert facts.validator

    def test_a_description_stays_the_same(self, place: Place, name: str, reader: Reader) -> None:
        assert reader.describe() == place.reader(name).describe()

    @pytest.mark.parametrize("described", [True, False], ids=["described", "not described"])
    def test_the_whole_comes_in_large_chunks(self, described: bool, reader: Reader) -> None:
        if described:
            reader.describe()
        chunks = list(reader.chunks())
        assert b"".join(chunks) == DATA
        assert all(len(chunk) >= 65_000 for chunk in chunks[:-1])
        assert max(map(len, chunks)) <= 4 * MIB

    @pytest.mark.parametrize("described", [True, False], ids=["described", "not described"])
    def test_a_range_is_a_slice(self, described: bool, reader: Reader) -> None:
        if described:
            reader.describe()
        picked = random.Random()
        ranges = RANGES + [
            tuple(sorted(picked.choices(range(len(DATA)), k=2)))  # type: ignore[misc]
            for _ in range(10)
        ]
        for start, stop in ranges:
            assert b"".join(reader.chunks(start, stop)) == DATA[start:stop], (start, stop)

    def test_an_empty_file_is_empty(self, place: Place, name: str) -> None:
        place.put(name, b"")
        reader = place.reader(name)
        assert list(reader.chunks()) == []
        assert reader.describe().size == 0
        assert list(reader.chunks()) == []
        assert list(reader.chunks(0, 0)) == []

    def test_a_small_file_comes_whole(self, place: Place, name: str) -> None:
        place.put(name, b"small")
        assert b"".join(place.reader(name).chunks()) == b"small"
        assert b"".join(place.reader(name).chunks(1, 3)) == b"ma"
        assert b"".join(place.reader(name).chunks(1, 300)) == b"mall"

    def test_a_missing_file_is_not_found(self, place: Place, name: str) -> None:
        with pytest.raises(FileNotFoundError):
            place.reader(name).describe()
        with pytest.raises(FileNotFoundError):
            list(place.reader(name).chunks())
        with pytest.raises(FileNotFoundError):
            list(place.reader(name).chunks(5, 10))

    def test_a_file_that_is_gone_later_is_not_found(
        self, place: Place, name: str, reader: Reader
    ) -> None:
        reader.describe()
        place.delete(name)
        # Azure's condition isn't met by an object that isn't there.
        with pytest.raises((FileNotFoundError, ContentChangedError)):
            list(reader.chunks())

    @pytest.mark.parametrize("start", [0, MIB])
    def test_a_file_that_was_replaced_is_not_read(
        self, start: int, place: Place, name: str, reader: Reader
    ) -> None:
        if not place.detects_replacement:
            pytest.skip("this emulator ignores conditions")
        reader.describe()
        place.put(name, b"longer " + OTHER)
        with pytest.raises(ContentChangedError):
            list(reader.chunks(start))

    def test_a_file_that_is_replaced_half_way_is_no_mixture(
        self, place: Place, name: str, reader: Reader
    ) -> None:
        if not place.detects_replacement:
            pytest.skip("this emulator ignores conditions")
        chunks = reader.chunks()
        read = [next(chunks)]
        place.put(name, b"longer " + OTHER)
        try:
            read += chunks
        except ContentChangedError:
            pass
        else:
            assert b"".join(read) == DATA

    @pytest.mark.parametrize("start", [0, 1, MIB, len(DATA) - 1])
    def test_the_state_that_a_row_knows_is_read_and_no_other(
        self, start: int, place: Place, name: str, reader: Reader
    ) -> None:
        if not place.detects_replacement:
            pytest.skip("this emulator ignores conditions")
        validator = reader.describe().validator

        def read(reader: Reader) -> bytes:
            reader.expect(len(DATA), validator)
            return b"".join(reader.chunks(start, start + 1))

        assert read(place.reader(name)) == DATA[start : start + 1]
        place.put(name, b"longer " + OTHER)
        with pytest.raises(ContentChangedError, match="than was declared"):
            read(place.reader(name))

    @pytest.mark.parametrize("start", [0, 1, MIB, len(DATA) - 1])
    def test_another_size_than_a_row_knows_is_noticed_in_any_range(
        self, start: int, place: Place, name: str, reader: Reader
    ) -> None:
        if not self.tells_size:
            pytest.skip("it isn't told with a range")
        reader.expect(len(DATA) + 1)
        with pytest.raises(ContentChangedError, match="than was declared"):
            list(reader.chunks(start, start + 1))

    def test_a_file_that_has_grown_from_nothing_is_noticed(self, reader: Reader) -> None:
        reader.expect(0)
        with suppress(ContentChangedError):
            assert b"".join(reader.chunks()) == DATA  # whoever reads it sees that it isn't empty

    def test_read_afresh_it_is_whatever_is_there(
        self, place: Place, name: str, reader: Reader
    ) -> None:
        reader.expect(len(DATA) + 1, reader.describe().validator)
        place.put(name, b"longer " + OTHER)
        assert b"".join(reader.afresh().chunks()) == b"longer " + OTHER

    def test_a_reader_can_be_closed_and_used_again(self, reader: Reader) -> None:
        for _ in range(3):
            chunks: Any = reader.chunks(5)
            assert next(chunks)[:1000] == DATA[5:1005]
            chunks.close()
        assert b"".join(reader.chunks()) == DATA

    def test_many_may_read_at_once(self, reader: Reader) -> None:
        reader.describe()
        if not reader.is_remote:
            pairs = list(zip(reader.chunks(), reader.chunks(), strict=True))
            assert b"".join(one for one, _ in pairs) == DATA
            assert all(one == other for one, other in pairs)
            return
        starts = [number * 1000 for number in range(8)]
        barrier = threading.Barrier(4)

        def read(start: int) -> bytes:
            barrier.wait(30)
            return b"".join(reader.chunks(start))

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(read, starts))
        assert results == [DATA[start:] for start in starts]

    def test_members_make_an_archive_that_is_read(self, place: Place, name: str) -> None:
        place.put(name, DATA)
        members = [
            storage_member(place.storage, name, "described.jpg"),
            storage_member(place.storage, name, "text.txt"),
            storage_member(place.storage, name, "known.jpg", size=len(DATA), modified_at=TIME),
        ]
        archive = b"".join(stream_zip(members))
        with zipfile.ZipFile(BytesIO(archive)) as opened:
            assert {opened.read(found) == DATA for found in opened.infolist()} == {True}
            assert len(opened.infolist()) == 3

    def test_a_window_is_a_slice_of_the_archive(self, place: Place, name: str) -> None:
        place.put(name, DATA)
        members = [storage_member(place.storage, name, f"{n}.jpg") for n in range(2)]
        plan = Plan.of(members)
        assert plan is not None
        assert plan.entity_tag is not None
        archive = b"".join(stream_zip(members))
        for start, stop in [(0, plan.length), (len(DATA) // 2, plan.length), (10, len(DATA) + 99)]:
            window = plan.window(start, stop, checksums=NoChecksums())
            assert b"".join(window) == archive[start:stop]


class ListingContract:
    """What holds for the listing of every storage. The files are in a folder of each test's own."""

    @pytest.fixture
    def listed_folder(self, place: Place) -> str:
        folder = f"listed {uuid.uuid4().hex}"
        for name in ("b.jpg", "a.jpg", "c/d/e.jpg", "c/b.txt", "ü.jpg"):
            place.put(f"{folder}/{name}", name.encode())
        place.put(f"{folder}0/a.jpg", b"no")
        return folder

    def test_a_folder_is_listed_with_those_below_it(
        self, place: Place, listed_folder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ObjectReader, "page_length", 2)
        listed = dict(place.reader(listed_folder).listed())
        names = ("b.jpg", "a.jpg", "c/d/e.jpg", "c/b.txt", "ü.jpg")
        assert listed.keys() == {f"{listed_folder}/{name}" for name in names}
        for name, metadata in listed.items():
            told = place.reader(name).describe()._replace(crc_32=None)
            assert metadata in (told, Metadata()), name

    def test_a_listing_is_an_archive(self, place: Place, listed_folder: str) -> None:
        members = storage_members(place.storage, listed_folder)
        names = ["a.jpg", "b.jpg", "c/b.txt", "c/d/e.jpg", "ü.jpg"]
        assert sorted(member[0] for member in members) == names
        assert all(b"".join(member[4].chunks()) == member[0].encode() for member in members)
        assert [
            member[0] for member in storage_members(place.storage, f"{listed_folder}/c/d/")
        ] == ["e.jpg"]

    def test_the_whole_storage_is_listed(self, place: Place, listed_folder: str) -> None:
        listed = {member[0] for member in storage_members(place.storage, missing="skip")}
        assert {f"{listed_folder}/c/d/e.jpg", f"{listed_folder}0/a.jpg"} <= listed

    def test_a_listing_ends_where_there_are_too_many(
        self, place: Place, listed_folder: str
    ) -> None:
        with pytest.raises(TooManyMembersError):
            storage_members(place.storage, listed_folder, limit=4)
        assert len(storage_members(place.storage, listed_folder, limit=5)) == 5


class Faulty(Place):
    """A stub."""

    def __init__(self, storage: Any, store: Store) -> None:
        super().__init__(storage)
        self.store = store

    @property
    def faults(self) -> Faults:
        return self.store.faults

    def put(self, name: str, data: bytes, **kwargs: Any) -> None:
        self.store.put(name, data, **kwargs)

    def delete(self, name: str) -> None:
        del self.store.objects[name]


class FaultContract(ReaderContract):
    """What holds when the store fails. For stubs."""

    #: Whether one response brings the whole object.
    streams = True

    def test_one_question_describes(self, place: Faulty, reader: Reader) -> None:
        reader.describe()
        assert place.store.asked == ["head"]

    def test_looking_at_a_member_asks_once(self, place: Faulty, name: str) -> None:
        place.put(name, DATA)
        member = storage_member(place.storage, name)
        assert place.store.asked == []
        assert tuple(member) == tuple(member)
        assert place.store.asked == ["head"]

    @pytest.mark.parametrize("known", [{"size": len(DATA)}, {"modified_at": TIME}], ids=str)
    def test_looking_at_a_member_of_half_known_facts_asks_once(
        self, known: dict[str, Any], place: Faulty, name: str
    ) -> None:
        place.put(name, DATA)
        member = storage_member(place.storage, name, **known)
        assert place.store.asked == []
        assert tuple(member) == tuple(member)
        assert place.store.asked == ["head"]

    def test_nothing_is_asked_where_all_is_known(self, place: Faulty, name: str) -> None:
        place.put(name, b"small")
        member = storage_member(place.storage, name, "x.jpg", size=5, modified_at=TIME)
        assert Plan.of([member]) is not None
        chunks = member[4].chunks()
        assert place.store.asked == []
        assert b"".join(chunks) == b"small"
        assert place.store.asked == ["get"]

    def test_nothing_is_opened_before_the_first_chunk(self, place: Faulty, reader: Reader) -> None:
        chunks = reader.chunks()
        assert place.store.asked == []
        next(chunks)
        assert place.store.asked == ["get"]

    def test_the_first_response_pins_the_version(
        self, place: Faulty, name: str, reader: Reader
    ) -> None:
        assert next(reader.chunks())
        place.put(name, DATA)
        with pytest.raises(ContentChangedError):
            list(reader.chunks(MIB))

    @pytest.mark.parametrize("described", [True, False], ids=["described", "not described"])
    @pytest.mark.parametrize("after", [0, 1, 300_000])
    def test_a_body_that_breaks_off_twice_is_resumed(
        self, after: int, described: bool, place: Faulty, reader: Reader
    ) -> None:
        if described:
            reader.describe()
        place.faults.break_after = [after, after]
        assert b"".join(reader.chunks()) == DATA

    def test_a_range_that_breaks_off_is_resumed(self, place: Faulty, reader: Reader) -> None:
        place.faults.break_after = [100_000, 5]
        assert b"".join(reader.chunks(MIB, 2 * MIB)) == DATA[MIB : 2 * MIB]

    def test_a_body_that_breaks_off_again_and_again_is_an_error(
        self, place: Faulty, reader: Reader
    ) -> None:
        place.faults.break_after = [10] * 1000
        with pytest.raises(OSError, match=r"was truncated|connection broke"):
            list(reader.chunks())
        assert len(place.store.asked) <= 20

    def test_an_object_that_is_replaced_before_a_resumption_is_an_error(
        self, place: Faulty, name: str, reader: Reader
    ) -> None:
        place.faults.break_after = [2 * MIB] if self.streams else [0, 100_000]
        place.faults.replace_after = (name, Stored(OTHER))
        with pytest.raises(ContentChangedError):
            list(reader.chunks())

    def test_a_store_that_ignores_conditions_is_found_out(
        self, place: Faulty, name: str, reader: Reader
    ) -> None:
        reader.describe()
        place.faults.ignores_conditions = True
        place.put(name, OTHER)
        with pytest.raises(ContentChangedError):
            list(reader.chunks())

    def test_more_bytes_than_were_asked_for_are_an_error(
        self, place: Faulty, reader: Reader
    ) -> None:
        reader.describe()
        place.faults.extra_bytes = 7
        with pytest.raises((ContentChangedError, OSError)):
            list(reader.chunks(0, 1000))

    @pytest.mark.parametrize("extra", [-100, 100])
    def test_an_object_of_another_size_is_an_error(
        self, extra: int, place: Faulty, name: str, reader: Reader
    ) -> None:
        facts = reader.describe()
        assert facts.size == len(DATA)
        stored = place.store.objects[name]
        stored.data = DATA + b"x" * extra if extra > 0 else DATA[:extra]
        try:
            read = b"".join(reader.chunks(MIB))
        except (ContentChangedError, OSError):
            return
        # A store that is never asked beyond the end can't be found out, and does no harm.
        assert read == DATA[MIB:]

    @pytest.mark.parametrize("moved", [-1000, 1000], ids=["nothing", "too much"])
    def test_a_range_that_ends_elsewhere_is_an_error(
        self, moved: int, place: Faulty, reader: Reader
    ) -> None:
        reader.describe()
        place.faults.moved_end = moved
        with pytest.raises((ContentChangedError, OSError)):
            list(reader.chunks(MIB, MIB + 1000))
        assert len(place.store.asked) <= 20

    def test_an_answer_without_the_range_is_an_error(self, place: Faulty, reader: Reader) -> None:
        place.faults.ignores_ranges = True
        with pytest.raises((ContentChangedError, OSError, ValueError)):
            list(reader.chunks(MIB, 2 * MIB))

    def test_a_refusal_is_a_permission_error_with_its_cause(
        self, place: Faulty, reader: Reader
    ) -> None:
        place.faults.status = 403
        with pytest.raises(PermissionError) as described:
            reader.describe()
        with pytest.raises(PermissionError) as read:
            list(reader.chunks())
        assert described.value.__cause__ is not None
        assert read.value.__cause__ is not None

    def test_what_is_missing_names_the_file_and_the_cause(self, place: Faulty, name: str) -> None:
        with pytest.raises(FileNotFoundError, match=name) as missing:
            list(place.reader(name).chunks())
        assert missing.value.__cause__ is not None

    def test_closing_early_closes_the_body(self, place: Faulty, reader: Reader) -> None:
        reader.describe()
        before = place.store.connections
        chunks: Any = reader.chunks()
        next(chunks)
        chunks.close()
        assert eventually(lambda: place.store.open_bodies == 0)
        assert eventually(lambda: place.store.connections <= before)

    def test_an_error_in_the_archive_closes_the_body(self, place: Faulty, name: str) -> None:
        place.put(name, DATA)
        member = storage_member(place.storage, name, "x.jpg", size=100, modified_at=TIME)
        with pytest.raises(Exception, match="bytes"):
            list(stream_zip([member]))
        assert eventually(lambda: place.store.open_bodies == 0)

    @pytest.mark.parametrize("seed", range(40))
    def test_whatever_happens_it_is_a_slice_of_one_version_or_an_error(
        self, seed: int, place: Faulty, name: str
    ) -> None:
        rng = random.Random(seed)
        size = rng.choice([0, 1, 262_144, 262_145, rng.randrange(len(DATA))])
        old, new = DATA[:size], OTHER[: rng.choice([size, rng.randrange(len(OTHER))])]
        place.put(name, old)
        reader = place.reader(name)
        if rng.random() < 0.5:
            reader.describe()
        start = rng.choice([0, rng.randrange(size + 2)])
        stop = rng.choice([None, rng.randrange(start, size + 5)])
        breaks = rng.choice([0, 1, 2, 3, 5])
        place.faults.break_after = [rng.choice([0, 1, rng.randrange(size + 1)])] * breaks
        place.faults.replace_after = rng.choice([None, (name, Stored(new))])
        try:
            read = b"".join(reader.chunks(start, stop))
        except (ContentChangedError, OSError):
            return
        assert read in (old[start:stop], new[start:stop])

    # Content-Encoding.

    def packed(self) -> bytes:
        from gzip import compress

        return compress(DATA[:MIB] + bytes(MIB), mtime=0)

    @pytest.mark.parametrize("described", [True, False], ids=["described", "not described"])
    def test_what_is_stored_packed_is_unpacked_on_demand(
        self, described: bool, place: Faulty, name: str
    ) -> None:
        place.put(name, self.packed(), encoding="gzip")
        reader, expected = place.reader(name, decode=True), DATA[:MIB] + bytes(MIB)
        if described:
            facts = reader.describe()
            assert (facts.size, facts.crc_32) == (None, None)
        for start, stop in [(0, None), (0, 10), (100, 200_000), (MIB - 1, MIB + 1), (MIB, None)]:
            assert b"".join(reader.chunks(start, stop)) == expected[start:stop]

    @pytest.mark.parametrize("described", [True, False], ids=["described", "not described"])
    def test_what_is_stored_packed_is_given_packed_on_demand(
        self, described: bool, place: Faulty, name: str
    ) -> None:
        packed = self.packed()
        place.put(name, packed, encoding="gzip")
        reader = place.reader(name, decode=False)
        if described:
            assert reader.describe().size == len(packed)
        assert b"".join(reader.chunks()) == packed
        assert b"".join(reader.chunks(5, 50_000)) == packed[5:50_000]

    # S3File doesn't close the temporary file below the one that unpacks.
    @pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_by_default_it_is_as_the_storage_opens_it(self, place: Faulty, name: str) -> None:
        place.put(name, self.packed(), encoding="gzip")
        with place.storage.open(name) as file:
            expected = file.read()
        assert b"".join(place.reader(name).chunks()) == expected
        size = place.reader(name).describe().size
        assert size in (None, len(expected))

    @pytest.mark.parametrize("decode", [True, False, None])
    def test_an_archive_of_what_is_stored_packed_is_right(
        self, decode: bool | None, place: Faulty, name: str
    ) -> None:
        place.put(name, self.packed(), encoding="gzip")
        member = storage_member(place.storage, name, "page.pdf", decode=decode)
        archive = b"".join(stream_zip([member]))
        with zipfile.ZipFile(BytesIO(archive)) as opened:
            found = opened.read("page.pdf")
        assert found == b"".join(place.reader(name, decode=decode).chunks())
        assert found in (self.packed(), DATA[:MIB] + bytes(MIB))

    def test_a_size_of_what_is_stored_packed_is_never_wrong(self, place: Faulty, name: str) -> None:
        place.put(name, self.packed(), encoding="gzip")
        wrong = {"size": len(self.packed()), "modified_at": TIME, "decode": True}
        with pytest.raises(Exception, match=r"bytes|size"):
            list(stream_zip([storage_member(place.storage, name, "page.pdf", **wrong)]))

    def test_a_packed_body_that_breaks_off_is_resumed(self, place: Faulty, name: str) -> None:
        place.put(name, self.packed(), encoding="gzip")
        place.faults.break_after = [100_000, 100_000]
        read = b"".join(place.reader(name, decode=True).chunks())
        assert read == DATA[:MIB] + bytes(MIB)

    def test_what_is_cut_short_when_it_was_packed_is_an_error(
        self, place: Faulty, name: str
    ) -> None:
        place.put(name, self.packed()[:-20], encoding="gzip")
        with pytest.raises((EOFError, OSError)):
            list(place.reader(name, decode=True).chunks())

    def test_what_says_that_it_is_packed_but_is_not_is_an_error(
        self, place: Faulty, name: str
    ) -> None:
        place.put(name, DATA, encoding="gzip")
        with pytest.raises(OSError, match="gzip"):
            list(place.reader(name, decode=True).chunks())

    # Passed as it is.

    def passing(self, place: Faulty, name: str, content: bytes) -> tuple[Any, bytes]:
        """Return a reader that passes what is stored of a content, and that."""
        from gzip import compress

        packed = compress(content, mtime=0)
        place.put(name, packed, encoding="gzip")
        reader: Any = place.reader(name, decode=True)
        reader.may_pass = True
        return reader, packed[10:-8]

    @pytest.mark.parametrize(("length", "requests"), [(5_000, 2), (MIB // 2, 3)])
    def test_the_deflate_stream_is_found_and_passed(
        self, length: int, requests: int, place: Faulty, name: str
    ) -> None:
        content = DATA[:length] * 2
        reader, stream = self.passing(place, name, content)
        assert reader.describe().size is None
        assert len(place.store.asked) == requests
        found = (10, 10 + len(stream), len(content), zlib.crc32(content))
        assert reader.deflate_stream == found
        half = len(stream) // 2
        for start, stop in [(0, None), (0, 1), (half, half + 100), (half, None), (0, len(stream))]:
            assert b"".join(reader.chunks(start, stop)) == stream[start:stop]
        assert b"".join(reader.afresh().chunks()) == stream

    def test_a_deflate_stream_that_breaks_off_is_resumed(self, place: Faulty, name: str) -> None:
        reader, stream = self.passing(place, name, DATA[:MIB])
        reader.describe()
        place.faults.break_after = [100_000, 100_000]
        assert b"".join(reader.chunks()) == stream

    def test_a_deflate_stream_of_another_version_is_an_error(
        self, place: Faulty, name: str
    ) -> None:
        reader, _ = self.passing(place, name, DATA[:5_000])
        reader.describe()
        self.passing(place, name, OTHER[:5_000])
        for chunks in (reader.chunks(), reader.chunks(5, 10), reader.afresh().chunks()):
            with pytest.raises(ContentChangedError):
                list(chunks)

    def test_an_archive_of_a_deflate_stream_has_a_length_and_ranges(
        self, place: Faulty, name: str
    ) -> None:
        content = DATA[:50_000] + bytes(MIB)
        self.passing(place, name, content)
        member = storage_member(place.storage, name, "page.txt", decode=True)
        plan = Plan.of([member])
        assert plan is not None
        assert plan.entity_tag is not None
        archive = b"".join(stream_zip([member]))
        assert len(archive) == plan.length < 100_000
        with zipfile.ZipFile(BytesIO(archive)) as opened:
            assert opened.read("page.txt") == content
        for start, stop in [(0, plan.length), (7, 20_000), (20_000, plan.length)]:
            window = plan.window(start, stop, checksums=NoChecksums())
            assert b"".join(window) == archive[start:stop]

    def test_what_shall_not_be_compressed_is_decoded(self, place: Faulty, name: str) -> None:
        self.passing(place, name, DATA[:5_000])
        member = storage_member(place.storage, name, decode=True, compress=False)
        assert b"".join(member[4]) == DATA[:5_000]

    @pytest.mark.parametrize("kind", ["two", "no gzip", "empty", "a header that goes on"])
    def test_what_is_not_one_deflate_stream_is_decoded(
        self, kind: str, place: Faulty, name: str
    ) -> None:
        from gzip import compress

        data = {
            "two": compress(DATA[:90_000]) + compress(b"end"),
            "no gzip": DATA[:90_000],
            "empty": b"",
            "a header that goes on": b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 90_000,
        }[kind]
        place.put(name, data, encoding="gzip")
        member = storage_member(place.storage, name, "page.txt", decode=True)
        assert member[3].compressed_size is None
        assert member[4].size is None
