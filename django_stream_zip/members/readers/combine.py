"""The CRC-32 of two byte strings one after the other, from theirs and the second one's length.

CRC-32 is the remainder of a polynomial over two values. To append n bytes is to multiply it by x to
the power of 8n, so the sum of that and the appended bytes' own remainder is that of both. (How the
first and the last step of a CRC-32 invert bits cancels out.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

# The polynomial as it is written with the lowest power in the highest bit.
_POLYNOMIAL: Final = 0xEDB88320
_ONE: Final = 0x80000000


def combined_in_python(first: int, second: int, second_length: int) -> int:
    """Return the CRC-32 of what `first` is that of, followed by what `second` is that of."""
    return _times(_power_of_x(8 * second_length), first) ^ second


def _power_of_x(exponent: int) -> int:
    power = _ONE
    for bit in range(exponent.bit_length()):
        if exponent >> bit & 1:
            power = _times(_square(bit), power)
    return power


@cache
def _square(times: int) -> int:
    """Return x, squared so many times."""
    if times == 0:
        return _ONE >> 1
    half = _square(times - 1)
    return _times(half, half)


def _times(one: int, other: int) -> int:
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = one << 1 & 0xFFFFFFFF
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product


def _fastest() -> Callable[[int, int, int], int]:
    try:
        from isal.isal_zlib import crc32_combine
    except ImportError:
        return combined_in_python
    function: Callable[[int, int, int], int] = crc32_combine
    return function


combined: Final = _fastest()


def combined_parts(parts: Iterable[tuple[int, int]]) -> int:
    """Return the CRC-32 of parts one after the other from their CRC-32s and lengths."""
    crc_32 = 0
    for part, length in parts:
        crc_32 = combined(crc_32, part, length)
    return crc_32
