"""A small baseline JPEG writer for pictures with a palette.

Only what the sample pictures need: sides that are multiples of eight, no subsampling, and one
plain Huffman table for each kind of symbol. Pictures with a palette repeat many of their blocks
exactly, so each distinct block is transformed once.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from functools import cache
from operator import mul

Colour = tuple[int, int, int]

SIDE = 8
# From the upper left, along the diagonals: the order in which a block's numbers are written.
ZIGZAG = sorted(
    ((row, column) for row in range(SIDE) for column in range(SIDE)),
    key=lambda place: (sum(place), place[0] if sum(place) % 2 else place[1]),
)
# How coarsely each of them is kept: fine details more coarsely.
STEPS = [3 + 2 * (row + column) for row, column in ZIGZAG]
COSINES = [
    [
        math.cos((2 * x + 1) * u * math.pi / 16) * math.sqrt((1 if u == 0 else 2) / SIDE)
        for x in range(SIDE)
    ]
    for u in range(SIDE)
]

# All codes of a table have the same length. That costs some size, and no reader minds.
DC_SYMBOLS = list(range(12))
AC_SYMBOLS = [0x00, 0xF0, *(run << 4 | bits for run in range(16) for bits in range(1, 11))]
DC_CODES = {symbol: f"{code:04b}" for code, symbol in enumerate(DC_SYMBOLS)}
AC_CODES = {symbol: f"{code:08b}" for code, symbol in enumerate(AC_SYMBOLS)}
END_OF_BLOCK, SIXTEEN_ZEROS = 0x00, 0xF0


def encode(rows: Sequence[bytes], palette: Sequence[Colour]) -> bytes:
    """The JPEG file of a picture: each byte of a row is an index into the palette."""
    height, width = len(rows), len(rows[0])
    if height % SIDE or width % SIDE:
        raise ValueError("the sides of the picture have to be multiples of eight")
    bits = scan_bits(rows, planes(palette))
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return headers(width, height) + scan + b"\xff\xd9"


def planes(palette: Sequence[Colour]) -> list[list[float]]:
    """The palette as brightness and two colour differences, each around zero."""
    return [
        [0.299 * r + 0.587 * g + 0.114 * b - 128 for r, g, b in palette],
        [-0.168736 * r - 0.331264 * g + 0.5 * b for r, g, b in palette],
        [0.5 * r - 0.418688 * g - 0.081312 * b for r, g, b in palette],
    ]


def scan_bits(rows: Sequence[bytes], levels: list[list[float]]) -> str:
    """All blocks of the picture, from the upper left, as a text of zeros and ones."""
    encoders = [block_encoder(plane) for plane in levels]
    before = [0, 0, 0]
    bits = []
    for top in range(0, len(rows), SIDE):
        band = rows[top : top + SIDE]
        for left in range(0, len(rows[0]), SIDE):
            block = b"".join([row[left : left + SIDE] for row in band])
            for component, encoder in enumerate(encoders):
                mean, details = encoder(block)
                bits += coded(DC_CODES, 0, mean - before[component]), details
                before[component] = mean
    return "".join(bits)


def block_encoder(plane: list[float]) -> Callable[[bytes], tuple[int, str]]:
    """A function from a block to its mean and the bits of its details, in one plane."""

    @cache
    def encoder(block: bytes) -> tuple[int, str]:
        numbers = transformed([plane[index] for index in block])
        return numbers[0], detail_bits(numbers[1:])

    return encoder


def transformed(samples: list[float]) -> list[int]:
    """The cosine transform of a block, in steps and in zigzag order."""
    if min(samples) == max(samples):
        return [round(samples[0] * SIDE / STEPS[0]), *[0] * 63]
    lines = [samples[start : start + SIDE] for start in range(0, 64, SIDE)]
    across = [[sum(map(mul, line, wave)) for line in lines] for wave in COSINES]
    both = [[sum(map(mul, column, wave)) for column in across] for wave in COSINES]
    return [
        round(both[row][column] / step) for (row, column), step in zip(ZIGZAG, STEPS, strict=True)
    ]


def detail_bits(numbers: list[int]) -> str:
    """All numbers of a block but the first one; zeros are only counted."""
    bits, zeros = [], 0
    for number in numbers:
        if number == 0:
            zeros += 1
            continue
        bits += [AC_CODES[SIXTEEN_ZEROS]] * (zeros // 16)
        bits.append(coded(AC_CODES, zeros % 16, number))
        zeros = 0
    if zeros:
        bits.append(AC_CODES[END_OF_BLOCK])
    return "".join(bits)


def coded(codes: dict[int, str], zeros: int, number: int) -> str:
    """The code for the zeros before a number and for its length, then the number."""
    length = abs(number).bit_length()
    if length == 0:
        return codes[0]
    rest = number if number > 0 else number + (1 << length) - 1
    return codes[zeros << 4 | length] + f"{rest:0{length}b}"


def headers(width: int, height: int) -> bytes:
    """Everything before the scan."""
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    selectors = b"".join(bytes([number, 0x00]) for number in (1, 2, 3))
    return b"\xff\xd8" + b"".join(
        [
            segment(0xE0, b"JFIF\x00\x01\x01\x00" + struct.pack(">HHBB", 1, 1, 0, 0)),
            segment(0xDB, bytes([0, *STEPS])),
            segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + components),
            segment(0xC4, huffman_table(0x00, 4, DC_SYMBOLS)),
            segment(0xC4, huffman_table(0x10, 8, AC_SYMBOLS)),
            segment(0xDA, b"\x03" + selectors + b"\x00\x3f\x00"),
        ]
    )


def segment(marker: int, body: bytes) -> bytes:
    """A marker, the length of what follows, and that."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def huffman_table(place: int, length: int, symbols: list[int]) -> bytes:
    """A table in which every code has the same length."""
    counts = [len(symbols) if bits == length else 0 for bits in range(1, 17)]
    return bytes([place, *counts, *symbols])
