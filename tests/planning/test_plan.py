"""Planned archives: any window is that slice of the whole, and nothing else is read for it."""

from __future__ import annotations

import json
import os
import random
import re
import stat
import subprocess
import sys
import textwrap
import tracemalloc
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
    CRC32IntegrityError,
    OffsetOverflowError,
    ZipValueError,
    stream_zip,
)
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.plan import Plan
from django_stream_zip.prefetch.threads import Prefetch
from tests.support.contents import (
    MODE,
    TIME,
    Checksums,
    ContentMember,
    CountingContent,
    ForgetfulChecksums,
    NoChecksums,
    Pattern,
    counting_member,
)
from tests.support.network import eventually
from tests.support.parser import parse, tail
from tests.support.readers import PYTHON_READERS, assert_reads

CONTENT = random.Random(1).randbytes(300_000)
SIZES = (0, 1, 2, 300, 65534, 65535, 65536, 131069, 131070, 131071, 200_000)
DIRECTORY_MODE = stat.S_IFDIR | 0o755


def auto(data: bytes) -> Any:
    return NO_COMPRESSION_AUTO(len(data))


def promised(method: Callable[[int, int], Any], data: bytes) -> Any:
    return method(len(data), zlib.crc32(data))


METHODS: dict[str, Callable[[bytes], Any]] = {
    "NO_COMPRESSION_AUTO(size)": auto,
    "NO_COMPRESSION_AUTO(size, crc)": partial(promised, NO_COMPRESSION_AUTO),
    "NO_COMPRESSION_32(size, crc)": partial(promised, NO_COMPRESSION_32),
    "NO_COMPRESSION_64(size, crc)": partial(promised, NO_COMPRESSION_64),
}
EVERY_METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def member(name: str, method: Callable[[bytes], Any], data: bytes, **kwargs: Any) -> ContentMember:
    content = CountingContent(data, identity=name, **kwargs)
    return name, TIME, MODE, method(data), content


def planned(members: list[ContentMember]) -> Plan:
    plan = Plan.of(members)
    assert plan is not None
    return plan


def window(
    plan: Plan, start: int, stop: int, checksums: NoChecksums | None = None, **options: Any
) -> bytes:
    blocks = plan.window(start, stop, checksums=checksums or NoChecksums(), **options)
    return b"".join(blocks)


def whole(members: list[ContentMember]) -> bytes:
    data = b"".join(stream_zip(members))
    for *_, content in members:
        content.forget()
    return data


class Region(NamedTuple):
    """Where a member's content is in the archive, found by a parser that isn't the package's."""

    start: int
    size: int
    in_blocks: bool

    def position(self, index: int) -> int:
        """Return the position in the archive of a byte of the content."""
        return self.start + index + (5 * (index // 65535 + 1) if self.in_blocks else 0)

    def inside(self, start: int, stop: int) -> tuple[int, int] | None:
        """Return what of the content lies in a window, None if nothing does."""
        indices = range(self.size)
        first = bisect_left(indices, start, key=self.position)
        last = bisect_left(indices, stop, key=self.position)
        return (first, last) if first < last else None


def regions(archive: bytes) -> list[Region]:
    found = []
    for read in parse(archive).members:
        size, _, offset = read.central.true_values()
        found.append(Region(offset + read.local.length, size, read.local.method == 8))
    return found


# Any window, any archive.


@st.composite
def archives(draw: st.DrawFn) -> list[ContentMember]:
    members = []
    for number in range(draw(st.integers(0, 5))):
        chunk_length = draw(st.sampled_from([1000, 65535, 65536, 10**6]))
        if draw(st.integers(0, 4)) == 0:
            content = CountingContent(b"", identity=f"{number}")
            members.append((f"{number}/", TIME, DIRECTORY_MODE, NO_COMPRESSION_AUTO(0, 0), content))
            continue
        data = CONTENT[: draw(st.sampled_from(SIZES) | st.integers(0, 2000))]
        method = draw(st.sampled_from(sorted(METHODS)))
        crc_32 = draw(st.sampled_from([None, zlib.crc32(data)]))
        members.append(
            member(
                f"{number} {'ü' * draw(st.integers(0, 20))}",
                METHODS[method],
                data,
                chunk_length=chunk_length,
                crc_32=crc_32,
            )
        )
    return members


@st.composite
def positions(draw: st.DrawFn, places: list[int], length: int) -> int:
    """Draw any position, and often one around a place where something begins."""
    near = st.sampled_from(places).flatmap(lambda place: st.integers(place - 40, place + 40))
    position = draw(near | st.integers(0, length))
    return min(max(0, position), length)


def interesting(archive: bytes) -> list[int]:
    """Where the records and the blocks of an archive begin."""
    places = [0, len(archive)]
    for region in regions(archive):
        places += [region.start, region.position(region.size)]
        places += [region.position(index) for index in range(0, region.size, 65535)]
    return places


def read(members: list[ContentMember]) -> list[tuple[int, int] | None]:
    return [content.was_given for *_, content in members]


@given(st.data())
def test_a_window_is_a_slice_and_only_content_in_it_is_read(data: st.DataObject) -> None:
    members = data.draw(archives())
    archive, plan = whole(members), planned(members)
    assert plan.length == len(archive)
    learned = Checksums()
    assert window(plan, 0, plan.length, learned) == archive
    places, spots = interesting(archive), regions(archive)
    for _ in range(20):
        start, stop = sorted(data.draw(positions(places, len(archive))) for _ in "ab")
        for *_, content in members:
            content.forget()
        block_length = data.draw(st.sampled_from([1, 7, 65536, 10**6]))
        assert window(plan, start, stop, learned, block_length=block_length) == archive[start:stop]
        assert read(members) == [region.inside(start, stop) for region in spots]


def some_archives() -> list[list[ContentMember]]:
    chance = random.Random(20240229)
    made = []
    for number in range(60):
        members = []
        for index in range(chance.randrange(8)):
            method = METHODS[chance.choice(sorted(METHODS))]
            data = CONTENT[: chance.choice([*SIZES, *[chance.randrange(3000) for _ in SIZES]])]
            name = f"{number}/{index}{'x' * chance.randrange(50)}"
            members.append(member(name, method, data, chunk_length=chance.choice([999, 65536])))
        made.append(members)
    return made


@pytest.mark.parametrize(
    "checksums", [NoChecksums, ForgetfulChecksums, Checksums], ids=["none", "half", "all"]
)
def test_thousands_of_windows_are_slices_whatever_is_known(checksums: type[NoChecksums]) -> None:
    chance = random.Random(1)
    for members in some_archives():
        archive, plan, remembered = whole(members), planned(members), checksums()
        assert plan.length == len(archive)
        places = interesting(archive)
        for _ in range(60):
            near = [chance.choice(places) + chance.randrange(-60, 60) for _ in "ab"]
            far = [chance.randrange(len(archive) + 1) for _ in "ab"]
            ends = (chance.choice(pair) for pair in zip(near, far, strict=True))
            start, stop = sorted(min(max(0, end), len(archive)) for end in ends)
            assert window(plan, start, stop, remembered) == archive[start:stop]


@pytest.mark.parametrize("length", [1, 2, 5, 16, 40], ids=lambda length: f"{length} bytes")
def test_every_short_window_of_an_archive_is_a_slice(length: int) -> None:
    contents = [b"", b"a", CONTENT[:300]]
    members = [
        member(f"{number} {name}", method, data)
        for name, method in METHODS.items()
        for number, data in enumerate(contents)
    ]
    archive, plan, learned = whole(members), planned(members), Checksums()
    assert window(plan, 0, plan.length, learned) == archive
    for start in range(len(archive)):
        stop = min(start + length, len(archive))
        assert window(plan, start, stop, learned) == archive[start:stop], start


@pytest.mark.parametrize("size", [65534, 65535, 65536, 131070, 131071])
def test_windows_around_block_headers_are_slices(size: int) -> None:
    members = [member("blocks", auto, CONTENT[:size]), member("next", auto, b"n")]
    archive, plan = whole(members), planned(members)
    for place in interesting(archive)[2:]:
        for start in range(max(0, place - 7), place + 8):
            for stop in range(start, min(place + 9, len(archive)) + 1):
                assert window(plan, start, stop) == archive[start:stop], (start, stop)


@EVERY_METHOD
def test_a_window_that_starts_in_a_block_goes_on_to_any_part_of_the_end(
    method: Callable[[bytes], Any],
) -> None:
    members = [member("first", method, CONTENT[:70_000]), member("last", method, b"abc")]
    archive, plan = whole(members), planned(members)
    for stop in range(plan.length - 400, plan.length + 1):
        assert window(plan, 69_000, stop) == archive[69_000:stop]


@EVERY_METHOD
def test_small_pieces_are_gathered_and_large_ones_given_as_they_are(
    method: Callable[[bytes], Any],
) -> None:
    members = [member("a", method, CONTENT[:2000], chunk_length=333), member("b", method, b"bb")]
    plan = planned(members)
    whole = plan.window(0, plan.length, checksums=NoChecksums(), block_length=100)
    lengths = [len(block) for block in whole]
    assert lengths.count(333) >= 5
    assert all(sum(two) > 100 for two in pairwise(lengths))


def test_a_planned_archive_is_read_by_others() -> None:
    members = [member(str(size), auto, CONTENT[:size]) for size in SIZES]
    archive = window(planned(members), 0, planned(members).length)
    expected = {str(size): CONTENT[:size] for size in SIZES}
    assert_reads(archive, expected, only=PYTHON_READERS)


def test_spans_say_where_members_and_their_data_lie() -> None:
    members = [
        member(f"{number}", method, CONTENT[:size])
        for number, (method, size) in enumerate(
            (method, size) for method in METHODS.values() for size in SIZES
        )
    ]
    plan = Plan.of(members)
    assert plan is not None
    whole = b"".join(stream_zip(members))
    spans = list(plan.spans())
    assert [before.stop for before in spans[:-1]] == [after.start for after in spans[1:]]
    for (_, _, _, method, content), span in zip(members, spans, strict=True):
        assert whole[span.start :].startswith(b"PK\3\4")
        if method.crc_32 is not None:
            assert whole[span.data : span.data_stop] == b"".join(content)
            assert span.data_stop == span.stop
    assert whole[spans[-1].stop :].startswith(b"PK\1\2")


def test_no_position_depends_on_a_crc_32_that_is_declared() -> None:
    members = [
        counting_member(f"{number}", CONTENT[:size], promised=True)
        for number, size in enumerate(SIZES)
    ]
    wrong = [
        (name, at, mode, method._replace(crc_32=0), content)
        for name, at, mode, method, content in members
    ]
    plan = Plan.of(wrong)
    assert plan is not None
    known = plan.declaring({number: member[3].crc_32 or 0 for number, member in enumerate(members)})
    assert (known.length, known.entity_tag) == (plan.length, None)
    made = b"".join(known.window(0, known.length, checksums=NoChecksums()))
    assert made == b"".join(stream_zip(members))


def test_an_archive_without_members_is_planned_too() -> None:
    plan = planned([])
    assert plan.length == 22
    assert window(plan, 0, 22) == b"".join(stream_zip([]))
    assert window(plan, 3, 9) == b"".join(stream_zip([]))[3:9]


def test_begun_is_called_with_the_name_of_each_member_that_is_read() -> None:
    members = [member(name, auto, b"content") for name in "abc"]
    plan, begun = planned(members), list[str]()
    window(plan, 0, plan.length, begun=begun.append)
    assert begun == ["a", "b", "c"]


# Contents: what is asked of them, and when they are open.


def test_a_whole_member_is_read_to_its_very_end_and_a_part_up_to_its_last_byte() -> None:
    members = [member("a", auto, CONTENT[:70_000])]
    plan = planned(members)
    content = members[0][4]
    window(plan, 1000, 60_000)
    assert content.asked[0][1] is not None
    content.forget()
    window(plan, 0, plan.length)
    assert content.asked == [(0, None)]


def test_one_content_is_open_at_a_time_and_none_after_a_window_is_closed() -> None:
    members = [member(name, auto, CONTENT[:100_000]) for name in "abc"]
    plan = planned(members)
    blocks = plan.window(0, plan.length, checksums=NoChecksums())
    for _ in blocks:
        assert sum(content.is_open for *_, content in members) <= 1
        if members[1][4].is_open:
            break
    blocks.close()
    assert not any(content.is_open for *_, content in members)
    assert members[2][4].opened == 0


def test_no_content_is_opened_before_the_first_block_is_asked_for() -> None:
    members = [member("a", auto, b"content")]
    plan = planned(members)
    plan.window(0, plan.length, checksums=NoChecksums())
    assert members[0][4].opened == 0


def test_unknown_checksums_of_skipped_members_are_found_by_reading_and_learned() -> None:
    members = [member(name, auto, CONTENT[:1000]) for name in "abc"]
    archive, plan, checksums = whole(members), planned(members), Checksums()
    start = archive.index(b"PK\x01\x02")
    assert window(plan, start, plan.length, checksums) == archive[start:]
    assert [content.opened for *_, content in members] == [1, 1, 1]
    start = archive.index(b"PK\x01\x02")
    assert window(plan, start, plan.length, checksums) == archive[start:]
    assert [content.opened for *_, content in members] == [1, 1, 1]


@pytest.mark.parametrize(
    "kwargs",
    [
        pytest.param({"method": METHODS["NO_COMPRESSION_AUTO(size, crc)"]}, id="by the method"),
        pytest.param({"method": auto, "crc_32": zlib.crc32(b"content")}, id="by the content"),
    ],
)
def test_known_checksums_spare_reading_skipped_members(kwargs: dict[str, Any]) -> None:
    members = [member(name, data=b"content", **kwargs) for name in "abc"]
    archive, plan = whole(members), planned(members)
    start = archive.index(b"PK\x01\x02")
    assert window(plan, start, plan.length) == archive[start:]
    assert [content.opened for *_, content in members] == [0, 0, 0]


def test_checksums_may_be_known_in_three_ways_at_once() -> None:
    members = [
        member("by the method", METHODS["NO_COMPRESSION_AUTO(size, crc)"], b"content"),
        member("by the content", auto, b"content", crc_32=zlib.crc32(b"content")),
        member("learned", auto, b"content"),
    ]
    archive, plan, checksums = whole(members), planned(members), Checksums()
    checksums.learn(members[2][4], zlib.crc32(b"content"))
    start = archive.index(b"PK\x01\x02")
    assert window(plan, start, plan.length, checksums) == archive[start:]
    assert [content.opened for *_, content in members] == [0, 0, 0]


# What of the directory needs which CRC-32.


def directory(archive: bytes) -> list[int]:
    """Return where the central directory's headers start, then where the end record does."""
    headers = [found.start() for found in re.finditer(b"PK\x01\x02", archive)]
    return [*headers, archive.rindex(b"PK\x05\x06")]


@pytest.mark.parametrize(
    ("start", "stop", "opened"),
    [
        (-1, None, [0, 0, 0]),
        (-22, None, [0, 0, 0]),
        (-23, None, [0, 0, 1]),
        ("header 0", "header 1", [1, 0, 0]),
        ("header 1", "header 2", [0, 1, 0]),
        ("header 1", None, [0, 1, 1]),
        ("header 2", None, [0, 0, 1]),
        ("before header 1", "header 1", [1, 0, 0]),
        ("before header 1", "behind header 1", [1, 1, 0]),
        ("before header 0", "behind header 0", [1, 0, 1]),  # from the last one's descriptor on
    ],
)
def test_a_window_in_the_directory_has_those_members_read_whose_headers_are_in_it(
    start: int | str, stop: int | str | None, opened: list[int]
) -> None:
    members = [member(name, auto, CONTENT[:1000]) for name in "abc"]
    archive, plan = whole(members), planned(members)
    places: dict[int | str | None, int] = {None: plan.length}
    for number, position in enumerate(directory(archive)[:-1]):
        places |= {f"before header {number}": position - 1, f"header {number}": position}
        places |= {f"behind header {number}": position + 1}
    first = plan.length + start if isinstance(start, int) else places[start]
    assert window(plan, first, places[stop]) == archive[first : places[stop]]
    assert [content.opened for *_, content in members] == opened


def unsent(plan: Plan, start: int, stop: int, checksums: NoChecksums) -> int:
    """Find by trial how many bytes have to be allowed."""
    budgets = range(10_000)
    return bisect_left(
        budgets, True, key=lambda budget: plan.is_within(budget, start, stop, checksums)
    )


def test_what_is_read_and_not_sent_is_known_before() -> None:
    members = [
        member("a", auto, CONTENT[:1000]),
        member("b", METHODS["NO_COMPRESSION_AUTO(size, crc)"], CONTENT[:500]),
        member("c", auto, CONTENT[:2000]),
        member("d", auto, CONTENT[:4000], crc_32=zlib.crc32(CONTENT[:4000])),
    ]
    archive, plan, checksums = whole(members), planned(members), Checksums()
    first, *_, last = directory(archive)
    inside = regions(archive)[2].position(700)
    assert unsent(plan, 0, plan.length, checksums) == 0
    assert unsent(plan, last, plan.length, checksums) == 0
    assert unsent(plan, first, plan.length, checksums) == 3000
    assert unsent(plan, 0, first + 10, checksums) == 0
    assert unsent(plan, inside, plan.length, checksums) == 1700
    assert unsent(plan, inside, inside + 100, checksums) == 0
    checksums.learn(members[0][4], zlib.crc32(CONTENT[:1000]))
    assert unsent(plan, first, plan.length, checksums) == 2000
    assert not any(content.opened for *_, content in members)


# It is in the data descriptor, behind the data, of 16 bytes or of 24.
@pytest.mark.parametrize("size", [2, 1000, 9000])
def test_a_checksum_is_needed_from_the_first_byte_behind_the_data(size: int) -> None:
    members = [member(name, auto, CONTENT[:size]) for name in "ab"]
    plan, region = planned(members), regions(whole(members))[0]
    last = region.position(size - 1)
    for stop in range(last + 1, last + 30):
        is_needed = stop > last + 1
        assert unsent(plan, last, stop, NoChecksums()) == (size - 1 if is_needed else 0)


@given(st.data())
def test_no_window_has_more_read_for_it_than_was_said(data: st.DataObject) -> None:
    members = data.draw(archives())
    archive, plan = whole(members), planned(members)
    start = data.draw(positions(interesting(archive), len(archive)))
    stop = data.draw(positions(interesting(archive), len(archive)).filter(lambda at: at > start))
    window(plan, start, stop)
    given_bytes = 0
    for region, (*_, content) in zip(regions(archive), members, strict=True):
        sent = region.inside(start, stop) or (0, 0)
        given_bytes += sum(last - first for first, last in content.given) - (sent[1] - sent[0])
    assert plan.is_within(max(0, given_bytes), start, stop, NoChecksums())
    most = sum(content.size for *_, content in members) + 10_000
    assert plan.is_within(most, start, stop, NoChecksums())
    if given_bytes > 0:
        assert not plan.is_within(given_bytes - 1, start, stop, NoChecksums())


@given(sent=st.integers(1, 60_000), back=st.integers(0, 9_000), chunk=st.integers(500, 40_000))
def test_who_resumes_in_a_long_content_has_it_read_from_the_mark_before(
    sent: int, back: int, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django_stream_zip.planning.checksums._MARK", 7_000)
        members = [member("a", auto, CONTENT[:60_000]), member("b", auto, CONTENT[:100])]
        archive, plan, checksums = whole(members), planned(members), Checksums()
        members[0][4].chunk_length = chunk
        blocks = plan.window(0, plan.length, checksums=checksums, block_length=1)
        while sent > 0:
            sent -= len(next(blocks))
        blocks.close()
        position = sum(last - first for first, last in members[0][4].given)
        start = max(0, position - back)
        members[0][4].forget()
        assert window(plan, start, plan.length, checksums) == archive[start:]
        assert members[0][4].asked[0][0] >= start - 7_000 - 200
        assert plan.is_within(7_000, start, plan.length, checksums)


def test_reading_what_is_not_sent_gives_empty_blocks_on_the_way() -> None:
    members = [member(name, auto, CONTENT[:50_000]) for name in "ab"]
    archive, plan = whole(members), planned(members)
    first = directory(archive)[0]
    blocks = list(plan.window(first, plan.length, checksums=NoChecksums()))
    assert b"".join(blocks) == archive[first:]
    assert blocks.count(b"") >= 10  # chunks of 10,000 bytes


# One reads, the others wait.


def test_eight_windows_at_once_have_a_content_read_once() -> None:
    members = [member(name, auto, CONTENT[:200_000]) for name in "ab"]
    archive, plan = whole(members), planned(members)
    first = directory(archive)[0]
    windows = [plan.window(first, plan.length, checksums=NoChecksums()) for _ in range(8)]
    for blocks in windows:
        assert next(blocks) == b""  # the first one reads, the others wait
    assert [content.opened for *_, content in members] == [1, 0]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(b"".join, windows)) == [archive[first:]] * 8
    assert members[0][4].opened == 1
    assert members[1][4].opened <= 8


@pytest.mark.parametrize("ends_by", ["close", "error"])
def test_another_window_takes_over_where_the_one_that_reads_ends(ends_by: str) -> None:
    members = [member("a", auto, CONTENT[:200_000])]
    archive, plan = whole(members), planned(members)
    first = directory(archive)[0]
    reads, waits = (plan.window(first, plan.length, checksums=NoChecksums()) for _ in range(2))
    assert [next(reads), next(waits), next(waits)] == [b"", b"", b""]
    assert members[0][4].opened == 1
    if ends_by == "close":
        reads.close()
    else:
        with pytest.raises(BrokenPipeError):
            reads.throw(BrokenPipeError())
    assert b"".join(waits) == archive[first:]
    assert members[0][4].opened == 2


def test_a_window_that_waits_can_be_closed() -> None:
    members = [member("a", auto, CONTENT[:200_000])]
    archive, plan = whole(members), planned(members)
    first = directory(archive)[0]
    reads, waits = (plan.window(first, plan.length, checksums=NoChecksums()) for _ in range(2))
    assert [next(reads), next(waits)] == [b"", b""]
    waits.close()
    assert b"".join(reads) == archive[first:]
    assert members[0][4].opened == 1


class HeldContent(CountingContent):
    """Holds what it gives, so that nothing but `close()` closes it."""

    def chunks(self, start: int = 0, stop: int | None = None) -> Any:
        self.held = super().chunks(start, stop)
        return self.held


@pytest.mark.parametrize("blocks", [1, 100], ids=["in the middle", "by an error"])
def test_a_content_is_closed_at_once_and_not_when_it_is_forgotten(blocks: int) -> None:
    content = HeldContent(CONTENT, identity="held")
    plan = planned([("a", TIME, MODE, NO_COMPRESSION_AUTO(200_000), content)])
    given = plan.window(0, plan.length, checksums=NoChecksums())
    with suppress(ContentChangedError):
        for _ in range(blocks):
            next(given)
    given.close()
    assert content.opened == 1
    assert not content.is_open


# Archives that nobody could keep.


def huge(number: int, size: int, crc_32: int | None) -> ContentMember:
    content = CountingContent(
        Pattern(size), crc_32=crc_32, identity=f"{number}", chunk_length=65536
    )
    return f"{number:04}.jpg", TIME, MODE, NO_COMPRESSION_AUTO(size, crc_32), content


def huge_archive(crc_32: int | None) -> list[ContentMember]:
    return [huge(number, 100_000_000, crc_32) for number in range(1000)]


@pytest.mark.parametrize("crc_32", [0x12345678, None], ids=["promised", "in the cache"])
def test_the_end_of_100_gigabytes_is_there_without_reading_any(crc_32: int | None) -> None:
    members, checksums = huge_archive(crc_32), Checksums()
    for *_, content in members:
        checksums.learn(content, 0x12345678)
    plan = planned(members)
    assert plan.length > 100 * 10**9
    end = window(plan, plan.length - 200_000, plan.length, checksums)
    assert all(content.opened == 0 for *_, content in members[:-1])
    assert members[-1][4].given[0][0] > 99_000_000
    assert len(end) == 200_000
    assert end.count(b"PK\x01\x02") == 1000
    assert end.count(b"PK\x06\x06") == 1


def test_the_directory_of_100_gigabytes_says_where_everything_is() -> None:
    members = huge_archive(0x12345678)
    plan = planned(members)
    at = plan._offsets[-1]
    headers, ends = tail(window(plan, at, plan.length))
    assert ends.last_word == (1000, plan.length - 98 - at, at)
    assert [header.true_values()[:2] for header in headers] == [(100_000_000, 100_000_000)] * 1000
    assert {header.crc_32 for header in headers} == {0x12345678}
    assert all(content.opened == 0 for *_, content in members)


@pytest.mark.parametrize("crc_32", [0x12345678, None], ids=["stored", "blocks"])
def test_a_window_in_the_middle_of_100_gigabytes_reads_only_what_is_in_it(
    crc_32: int | None,
) -> None:
    members = huge_archive(crc_32)
    plan = planned(members)
    middle = plan.length // 2
    data = window(plan, middle, middle + 300_000)
    assert len(data) == 300_000
    opened = [number for number, (*_, content) in enumerate(members) if content.opened]
    assert len(opened) == 1
    first, last = members[opened[0]][4].was_given
    assert 299_900 < last - first <= 300_000
    assert Pattern(10**8)[first + 70_000 : first + 71_000] in data


@pytest.mark.parametrize("is_promised", [True, False], ids=["stored", "blocks"])
@pytest.mark.parametrize("size", [2**32 - 66_000, 2**32 - 1, 2**32, 6 * 2**30], ids=hex)
def test_windows_beyond_4_gibibytes_join_without_a_seam(size: int, is_promised: bool) -> None:
    checksums, members = Checksums(), []
    for number, length in enumerate([size, 1000, 10]):
        crc_32 = 7 if number == 0 else zlib.crc32(Pattern(length)[:])
        members.append(huge(number, length, crc_32 if is_promised else None))
        checksums.learn(members[-1][4], crc_32)
    plan = planned(members)
    end = window(plan, plan.length - 200_000, plan.length, checksums)
    for start, stop in [(0, 100), (50_000, 131_000), (131_000, 198_000), (199_000, 200_000)]:
        place = plan.length - 200_000
        assert window(plan, place + start, place + stop, checksums) == end[start:stop]
    headers, ends = tail(end[plan._offsets[-1] - plan.length :])
    assert [header.true_values()[0] for header in headers] == [size, 1000, 10]
    assert [header.true_values()[2] for header in headers] == list(plan._offsets[:-1])
    assert (ends.zip64 is None) == (plan._offsets[-1] < 2**32)


# A window is written from a later member on, which does not know that an earlier one allows Zip64.
def test_a_window_up_to_the_directory_needs_no_zip64_of_its_own_members() -> None:
    small = counting_member("small", b"small", NO_COMPRESSION_64, promised=True)
    content = CountingContent(Pattern(2**32 - 2), identity="big")
    big = ("big", TIME, MODE, NO_COMPRESSION_32(2**32 - 2, 7), content)
    plan = planned([small, big])
    at = plan._offsets[-1]
    assert window(plan, at - 10, at) == Pattern(2**32 - 2)[2**32 - 12 : 2**32 - 2]


def test_a_window_may_have_more_members_than_an_archive_without_zip64() -> None:
    empty = CountingContent(b"", identity="empty")
    others = [(f"{n}", TIME, MODE, NO_COMPRESSION_32(0, 0), empty) for n in range(65_537)]
    first = counting_member("first", b"first", NO_COMPRESSION_64, promised=True)
    plan = planned([first, *others])
    start, stop = plan._offsets[1], plan._offsets[-1]
    assert len(window(plan, start, stop)) == stop - start


def test_more_than_65535_members_are_planned_with_zip64() -> None:
    empty = CountingContent(b"", identity="empty")
    members = [(f"{n}", TIME, MODE, NO_COMPRESSION_AUTO(0, 0), empty) for n in range(65_536)]
    plan = planned(members)
    _, ends = tail(window(plan, plan._offsets[-1], plan.length))
    assert ends.last_word[0] == 65_536


def test_planning_100_000_members_keeps_little_more_than_their_central_directory() -> None:
    content = CountingContent(b"content", identity="the same")
    members = [
        (f"folder/{number}.jpg", TIME, MODE, NO_COMPRESSION_AUTO(7), content)
        for number in range(100_000)
    ]
    tracemalloc.start()
    try:
        plan = planned(members)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    directory = plan.length - plan._offsets[-1]
    assert kept <= directory * 1.2 + 100_000 * 25
    assert peak <= 100_000 * 500


# Contents that come at once.


class AtOnce(CountingContent):
    """A content whose bytes come at once, if they are few."""

    def whole(self) -> bytes | None:
        return bytes(self.data) if len(self.data) <= 10_000 else None


class Fetched(CountingContent):
    """A content that is prefetched."""

    is_remote = True


KINDS = st.sampled_from([AtOnce, CountingContent, Fetched])


@given(
    st.lists(st.tuples(KINDS, st.sampled_from([0, 1, 9, 9_000, 70_000]), st.booleans())), st.data()
)
def test_every_window_is_that_slice_however_contents_come(kinds: Any, data: st.DataObject) -> None:
    members: list[ContentMember] = []
    for number, (kind, size, is_declared) in enumerate(kinds):
        content = CONTENT[number : number + size]
        method = promised(NO_COMPRESSION_AUTO, content) if is_declared else auto(content)
        members.append((f"{number}", TIME, MODE, method, kind(content, identity=f"{number}")))
    archive, plan = whole(members), planned(members)
    positions = st.integers(0, plan.length)
    start, stop = sorted(data.draw(st.tuples(positions, positions)))
    for first, last in ((0, plan.length), (start, stop), (start, plan.length)):
        with closing(Prefetch(2, 1 << 20)) as source:
            assert window(plan, first, last, source=source) == archive[first:last]


def test_a_content_that_comes_at_once_is_not_iterated() -> None:
    members = [
        (f"{n}", TIME, MODE, method(CONTENT[:9000]), AtOnce(CONTENT[:9000]))
        for n, method in enumerate([auto, partial(promised, NO_COMPRESSION_32)])
    ]
    plan = planned(members)
    archive = window(plan, 0, plan.length)
    assert not any(content.opened for *_, content in members)
    assert archive == b"".join(stream_zip(members))


def test_what_is_expected_behind_contents_that_come_at_once_is_prefetched() -> None:
    class Waiting(Fetched):
        """Ends when the other one has been begun."""

        def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
            begun.append(self.identity)
            assert eventually(lambda: len(begun) == 2)
            yield from super().chunks(start, stop)

    begun: list[str] = []
    contents = [AtOnce(identity="1"), Waiting(identity="2"), Waiting(identity="3")]
    members: Any = [(c.identity, TIME, MODE, auto(c.data), c) for c in contents]
    plan = planned(members)
    with closing(Prefetch(4, 1 << 20)) as source:
        archive = window(plan, 0, plan.length, source=source)
    assert archive == b"".join(stream_zip((*rest, [content.data]) for *rest, content in members))
    assert begun == ["2", "3"]


@pytest.mark.parametrize("method", [m for m in METHODS.values() if m is not auto])
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (CONTENT[:99], ContentChangedError),
        (CONTENT[:101], ContentChangedError),
        (CONTENT[1:101], CRC32IntegrityError),
    ],
    ids=["shorter", "longer", "other"],
)
def test_a_content_that_comes_at_once_is_compared(
    method: Callable[[bytes], Any], data: bytes, error: type[Exception]
) -> None:
    plan = planned([("a", TIME, MODE, method(CONTENT[:100]), AtOnce(data))])
    sent: list[bytes] = []
    with pytest.raises(error):
        sent.extend(plan.window(0, plan.length, checksums=NoChecksums()))
    assert b"PK\x01\x02" not in b"".join(sent)


# What can't be planned.


@pytest.mark.parametrize(
    "method",
    [ZIP_32, ZIP_64, ZIP_AUTO(7), NO_COMPRESSION_32, NO_COMPRESSION_64],
    ids=lambda method: repr(method),
)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_member_whose_size_only_writing_tells_makes_no_plan(method: Any, encrypted: bool) -> None:
    planned_one = counting_member("planned")
    other = ("other", TIME, MODE, method, CountingContent(b"content"))
    assert Plan.of([planned_one, other], encrypted=encrypted) is None


def test_what_cannot_be_written_cannot_be_planned_either() -> None:
    with pytest.raises(ZipValueError, match="must be a tuple"):
        Plan.of([("name", TIME, MODE)])  # type: ignore[list-item]
    big = ("big", TIME, MODE, NO_COMPRESSION_32(2**32 - 1, 0), CountingContent(identity="big"))
    with pytest.raises(OffsetOverflowError):
        Plan.of([big, big])


@pytest.mark.parametrize("size", [0, 1, 70_000])
@EVERY_METHOD
def test_an_encrypted_archive_is_as_long_as_planned(
    method: Callable[[bytes], Any], size: int
) -> None:
    members = [member("a", method, CONTENT[:size]), member("b", method, b"b")]
    plan = Plan.of(members, encrypted=True)
    assert plan is not None
    assert plan.length == len(b"".join(stream_zip(members, password="secret")))
    assert plan.entity_tag is None


# Content that is not what it was.


def broken(plan: Plan, error: type[Exception], start: int = 0) -> bytes:
    """Return what comes before the error, of which nothing may look like an archive's end."""
    blocks: list[bytes] = []
    with pytest.raises(error):
        blocks.extend(plan.window(start, plan.length, checksums=NoChecksums(), block_length=1))
    data = b"".join(blocks)
    assert b"PK\x01\x02" not in data
    assert b"PK\x05\x06" not in data
    return data


SHRUNK_OR_GROWN = pytest.mark.parametrize(
    "actual",
    [b"", CONTENT[:1], CONTENT[:69_999], CONTENT[:70_001], CONTENT[:200_000]],
    ids=["empty", "a byte", "a byte less", "a byte more", "much more"],
)


@SHRUNK_OR_GROWN
@EVERY_METHOD
def test_content_of_another_length_ends_the_archive(
    method: Callable[[bytes], Any], actual: bytes
) -> None:
    members = [member("a", auto, b"first"), member("b", method, CONTENT[:70_000])]
    members.append(member("c", auto, b"last"))
    archive, plan = whole(members), planned(members)
    members[1][4].data = actual
    data = broken(plan, ContentChangedError)
    assert archive.startswith(data)
    assert len(data) <= plan._offsets[2]
    assert members[2][4].opened == 0


@SHRUNK_OR_GROWN
def test_content_of_another_length_is_noticed_from_its_middle_too(actual: bytes) -> None:
    members = [member("a", auto, CONTENT[:70_000]), member("b", auto, b"last")]
    archive, plan = whole(members), planned(members)
    members[0][4].data = actual
    assert archive[60_000:].startswith(broken(plan, ContentChangedError, start=60_000))


@SHRUNK_OR_GROWN
def test_content_read_only_for_its_checksum_must_have_its_length_too(actual: bytes) -> None:
    members = [member("a", auto, CONTENT[:70_000]), member("b", auto, b"last")]
    archive, plan = whole(members), planned(members)
    members[0][4].data = actual
    start = archive.index(b"PK\x01\x02")
    assert broken(plan, ContentChangedError, start=start) == b""


@pytest.mark.parametrize("method", list(METHODS)[1:])
def test_content_with_another_crc_32_than_promised_ends_the_archive(method: str) -> None:
    members = [member("a", METHODS[method], b"content"), member("b", auto, b"last")]
    archive, plan = whole(members), planned(members)
    members[0][4].data = b"CONTENT"
    data = broken(plan, CRC32IntegrityError)
    assert data == archive[: plan._offsets[1]].replace(b"content", b"CONTENT")
    assert members[1][4].opened == 0


def test_an_error_of_a_content_passes_through_and_closes_it() -> None:
    class UnreadableContent(CountingContent):
        def chunks(self, start: int = 0, stop: int | None = None) -> Any:
            for chunk in super().chunks(start, stop):
                yield chunk
                raise OSError("gone")

    content = UnreadableContent(CONTENT[:70_000], identity="unreadable")
    plan = planned([("a", TIME, MODE, NO_COMPRESSION_AUTO(70_000), content)])
    with pytest.raises(OSError, match="gone"):
        window(plan, 0, plan.length)
    assert not content.is_open


# The entity tag.


def tag(**changes: Any) -> str | None:
    """Return the tag of an archive of two members, the first one with these changes."""
    values: dict[str, Any] = {
        "name": "a",
        "modified_at": TIME,
        "mode": MODE,
        "method": NO_COMPRESSION_AUTO(7),
        "validator": "1",
        "identity": "a",
        **changes,
    }
    content = CountingContent(
        b"content", validator=values["validator"], identity=values["identity"]
    )
    first = (values["name"], values["modified_at"], values["mode"], values["method"], content)
    return planned([first, counting_member("b")]).entity_tag


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "A"}, id="name"),
        pytest.param({"modified_at": TIME + timedelta(seconds=2)}, id="time"),
        pytest.param({"modified_at": TIME + timedelta(seconds=1)}, id="time by an odd second"),
        pytest.param({"mode": stat.S_IFREG | 0o600}, id="mode"),
        pytest.param({"method": NO_COMPRESSION_AUTO(8)}, id="size"),
        pytest.param({"method": NO_COMPRESSION_AUTO(7, 1)}, id="checksum known"),
        pytest.param({"method": NO_COMPRESSION_32(7, 1)}, id="without Zip64"),
        pytest.param({"method": NO_COMPRESSION_64(7, 1)}, id="with Zip64"),
        pytest.param({"validator": "2"}, id="validator"),
        pytest.param({"validator": ""}, id="empty validator"),
        # Two files may have one size and one time, and come to be under one name.
        pytest.param({"identity": "b"}, id="identity"),
    ],
)
def test_the_tag_changes_with(change: dict[str, Any]) -> None:
    assert tag(**change) != tag()


def test_the_tag_tells_a_promised_checksum_from_another() -> None:
    one, other = NO_COMPRESSION_AUTO(7, 1), NO_COMPRESSION_AUTO(7, 2)
    assert tag(method=one) != tag(method=other)
    assert tag(method=one) != tag(method=NO_COMPRESSION_64(7, 1))


def test_the_tag_changes_with_the_order_and_the_number_of_members() -> None:
    a, b = counting_member("a"), counting_member("b")
    tags = {planned(list(each)).entity_tag for each in [(), (a,), (b,), (a, b), (b, a), (a, a)]}
    assert len(tags) == 6


def test_validators_that_run_together_make_another_tag() -> None:
    def of(first: str, second: str) -> str | None:
        members = [counting_member("a", validator=first), counting_member("a", validator=second)]
        return planned(members).entity_tag

    assert of("1", "11") != of("11", "1")
    assert of("1\n", "1") != of("1", "\n1")


def test_the_tag_is_a_strong_one() -> None:
    entity_tag = tag()
    assert entity_tag is not None
    assert entity_tag[0] == entity_tag[-1] == '"'
    assert len(entity_tag) >= 34
    assert entity_tag[1:-1].isalnum()
    assert entity_tag.isascii()


def test_the_tag_does_not_depend_on_what_the_cache_knows_or_what_was_read() -> None:
    members = [counting_member("a"), counting_member("b")]
    before = planned(members).entity_tag
    window(planned(members), 0, 50, Checksums())
    assert planned(members).entity_tag == before == planned(tuple(members)).entity_tag  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [CountingContent(validator=None), [b"content"], (), iter([b"content"])],
    ids=["without validator", "list", "nothing", "iterator"],
)
def test_a_content_nobody_vouches_for_leaves_a_length_and_no_tag(content: Any) -> None:
    members = [counting_member("a"), ("b", TIME, MODE, NO_COMPRESSION_AUTO(7), content)]
    plan = planned([*members, counting_member("c")])
    assert plan.entity_tag is None
    assert plan.length == planned([counting_member(name) for name in "abc"]).length


PROCESS = """
    import json, sys
    from datetime import UTC, datetime
    from django_stream_zip import NO_COMPRESSION_32, NO_COMPRESSION_AUTO
    from django_stream_zip.planning.plan import Plan
    from tests.support.contents import CountingContent

    time = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
    members = [
        (f"grüße {n}.txt", time, 0o100644, method, CountingContent(b"content", identity=f"{n}"))
        for n, method in enumerate([NO_COMPRESSION_AUTO(7), NO_COMPRESSION_32(7, 99)])
    ]
    plan = Plan.of(members)
    print(json.dumps([plan.entity_tag, plan.length, sys.flags.hash_randomization]))
"""


def test_the_tag_is_the_same_in_every_process_and_time_zone() -> None:
    results = set()
    for seed, zone in [("1", "UTC"), ("2", "Asia/Kolkata"), ("random", "America/New_York")]:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROCESS)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
        )
        entity_tag, length, randomised = json.loads(done.stdout)
        assert randomised
        results.add((entity_tag, length))
    assert len(results) == 1


@given(st.lists(st.sampled_from(["name", "size", "mode", "validator"]), min_size=1, unique=True))
def test_archives_of_other_bytes_have_other_tags(changed: list[str]) -> None:
    values: dict[str, Any] = {
        "name": "other",
        "size": NO_COMPRESSION_AUTO(6),
        "mode": 0o100600,
        "validator": "other",
    }
    changes = {("method" if key == "size" else key): values[key] for key in changed}
    assert tag(**changes) != tag()


def test_times_that_are_written_alike_have_one_tag() -> None:
    assert tag(modified_at=TIME + timedelta(microseconds=5)) == tag(modified_at=TIME)
    assert tag(modified_at=datetime(2200, 1, 1)) == tag(modified_at=datetime(2201, 1, 1))
