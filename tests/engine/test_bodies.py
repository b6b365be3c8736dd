"""What content becomes: stored blocks to the byte, and the bound of what deflate makes."""

from __future__ import annotations

import random
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.engine.accelerators import deflated_size_bound
from django_stream_zip.engine.encoders import (
    STORED,
    Deflated,
    StoredBlocks,
    stored_blocks_size,
)
from tests.support.sources import chunked
from tests.support.strategies import contents

SIZES = (0, 1, 65534, 65535, 65536, 131069, 131070, 131071, 300000)
CONTENT = random.Random(1).randbytes(max(SIZES))


def written(content: bytes, chunk_size: int) -> bytes:
    body = StoredBlocks(len(content))
    return b"".join(map(body.write, chunked(content, chunk_size))) + body.end()


@pytest.mark.parametrize("chunk_size", [1, 5, 65534, 65535, 65536, 131070, 10**6])
@pytest.mark.parametrize("size", SIZES)
def test_any_inflater_reads_stored_blocks(size: int, chunk_size: int) -> None:
    inflate = zlib.decompressobj(wbits=-15)
    assert inflate.decompress(written(CONTENT[:size], chunk_size)) == CONTENT[:size]
    assert inflate.eof
    assert inflate.unused_data == b""


@pytest.mark.parametrize(
    ("size", "headers"),
    [
        pytest.param(0, {0: "01 0000 ffff"}, id="no content is one empty block"),
        pytest.param(1, {0: "01 0100 feff"}, id="one byte"),
        pytest.param(65535, {0: "01 ffff 0000"}, id="one full block"),
        pytest.param(65536, {0: "00 ffff 0000", 65540: "01 0100 feff"}, id="a byte more"),
        pytest.param(131070, {0: "00 ffff 0000", 65540: "01 ffff 0000"}, id="two full blocks"),
    ],
)
def test_blocks_are_full_but_for_the_last_which_is_final(
    size: int, headers: dict[int, str]
) -> None:
    data = bytearray(written(CONTENT[:size], 1000))
    for at, header in sorted(headers.items(), reverse=True):
        assert data[at : at + 5] == bytes.fromhex(header)
        del data[at : at + 5]
    assert data == CONTENT[:size]


@given(content=contents(), cuts=st.lists(st.integers(0, 200_000), max_size=8))
def test_stored_blocks_do_not_depend_on_the_chunks(content: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    body = StoredBlocks(len(content))
    pieces = [body.write(content[start:stop]) for start, stop in pairwise(places)]
    assert b"".join(pieces) + body.end() == written(content, 65535)


@given(
    size=st.sampled_from(SIZES) | st.integers(0, 300_000),
    cuts=st.lists(st.integers(0, 300_000), max_size=8),
    skips=st.lists(st.booleans(), min_size=9, max_size=9),
)
def test_skipped_content_counts_as_written(size: int, cuts: list[int], skips: list[bool]) -> None:
    places = sorted({0, *(min(cut, size) for cut in cuts), size})
    body, reference = StoredBlocks(size), StoredBlocks(size)
    for (start, stop), skip in zip(pairwise(places), skips, strict=False):
        data = reference.write(CONTENT[start:stop])
        if skip:
            assert body.skip(stop - start) == len(data)
        else:
            assert body.write(CONTENT[start:stop]) == data
    assert body.end() == reference.end()


@given(size=st.sampled_from(SIZES), cuts=st.lists(st.integers(0, 300_000), max_size=8))
def test_an_empty_chunk_brings_forward_what_is_skipped_later(size: int, cuts: list[int]) -> None:
    body, position, length = StoredBlocks(size), 0, 0
    for cut in sorted(min(cut, size) for cut in [*cuts, size]):
        length += len(body.write(b"")) + body.skip(cut - position)
        position = cut
    length += len(body.write(b"")) + len(body.end())
    assert length == stored_blocks_size(size)


@pytest.mark.parametrize("size", SIZES)
def test_content_before_a_position_among_stored_blocks(size: int) -> None:
    data = written(CONTENT[:size], 1000)
    body, blocks = StoredBlocks(size), range(0, len(data), 65540)
    for block in blocks:
        for position in (block, block + 1, block + 5, block + 6, block + 65539, len(data)):
            position = min(position, len(data))
            headers = sum(min(5, position - at) for at in blocks if at < position)
            assert body.content_before(position) == position - headers
    assert STORED.content_before(size) == size


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_stored_blocks_is_known_from_the_size_alone(size: int) -> None:
    assert stored_blocks_size(size) == len(written(CONTENT[:size], 1000))


def test_stored_content_is_not_even_copied() -> None:
    assert STORED.write(CONTENT) is CONTENT
    assert STORED.skip(2**40) == 2**40
    assert STORED.end() == b""


def test_deflated_content_can_not_be_skipped() -> None:
    with pytest.raises(RuntimeError, match="only deflating shows"):
        Deflated(zlib.compressobj()).skip(1)


# The bound of deflate.


def noise(size: int, symbols: int = 256) -> bytes:
    """Bytes that don't repeat; with fewer than 256 symbols they still don't fill their codes."""
    generator = random.Random(size)
    table = bytes(number % symbols for number in range(256))
    return generator.randbytes(size).translate(table)


def misleading(size: int) -> bytes:
    """Statistics that change in each short stretch, so that no Huffman code is ever right."""
    stretches = [bytes([number % 251]) * 3 + noise(40 + number % 7) for number in range(size // 40)]
    return b"".join(stretches)[:size]


def far_repeats(size: int) -> bytes:
    """Matches of 3 bytes at long distances: those that save least."""
    words = [noise(3 + number)[:3] for number in range(3000)]
    return b"".join(random.Random(7).choices(words, k=size // 3 + 1))[:size]


DATA = {
    "noise": noise(1_000_000),
    "noise of 255 symbols": noise(700_000, 255),
    "noise of 144 symbols": noise(300_000, 144),
    "high bytes only": noise(300_000, 100).translate(bytes((n + 150) % 256 for n in range(256))),
    "misleading": misleading(300_000),
    "far repeats": far_repeats(300_000),
    "zeros": bytes(1_000_000),
}
LEVELS = range(-1, 10)


def deflated_size(data: bytes, level: int, chunk_size: int) -> int:
    body = Deflated(zlib.compressobj(level, wbits=-zlib.MAX_WBITS))
    return sum(len(body.write(chunk)) for chunk in chunked(data, chunk_size)) + len(body.end())


@pytest.mark.parametrize("chunk_size", [7, 4096, 65536, 10**6])
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_the_bound_holds_at_every_level(data: bytes, chunk_size: int) -> None:
    data = data[: chunk_size * 20_000]
    for level in LEVELS:
        assert deflated_size(data, level, chunk_size) <= deflated_size_bound(len(data))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 16383, 16384, 32767, 32768, 65535, 65536, 131072])
def test_the_bound_holds_at_every_size_of_a_buffer(size: int) -> None:
    for level in LEVELS:
        assert deflated_size(noise(size), level, size or 1) <= deflated_size_bound(size)
    for level in (0, 1, 6, 9):  # one of each of zlib's ways; byte by byte takes its time
        assert deflated_size(noise(size), level, 1) <= deflated_size_bound(size)


@given(
    content=contents(70_000),
    level=st.sampled_from(LEVELS),
    chunk_size=st.integers(10, 100) | st.integers(100, 200_000),
)
def test_the_bound_holds_for_any_content(content: bytes, level: int, chunk_size: int) -> None:
    assert deflated_size(content, level, chunk_size) <= deflated_size_bound(len(content))


def test_the_bound_is_tight_where_zip64_begins() -> None:
    assert deflated_size_bound(4_293_656_841) == 0xFFFFFFFF
    assert deflated_size_bound(4_293_656_842) == 0x100000000


@given(size=st.integers(0, 2**40))
def test_the_bound_grows_with_the_size(size: int) -> None:
    assert deflated_size_bound(size) < deflated_size_bound(size + 1)
