"""The only access to zlib and what is faster than it: a CRC-32, and ways to deflate.

What is installed decides: to deflate, ISA-L (`isal`) before zlib-ng (`zlib_ng`) before zlib. Any
reader can read the output of all three; its size differs. Knows nothing of ZIP.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol


class CompressObj(Protocol):
    """What `get_compressobj` returns: `zlib.compressobj(wbits=-zlib.MAX_WBITS)` or the like."""

    def compress(self, data: bytes, /) -> bytes:
        """Take uncompressed bytes, return compressed ones."""

    def flush(self) -> bytes:
        """Return what is left."""


class DecompressObj(Protocol):
    """What `zlib.decompressobj(wbits=-zlib.MAX_WBITS)` returns, or the like."""

    eof: bool
    unused_data: bytes
    unconsumed_tail: bytes

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        """Take compressed bytes, return uncompressed ones, at most so many."""


def _found(name: str) -> list[Any]:
    """Return an accelerator in a list, or an empty one where it isn't installed."""
    try:
        return [import_module(name)]
    except ImportError:
        return []


_ISAL = _found("isal.isal_zlib")
_ZLIB_NG = _found("zlib_ng.zlib_ng")
# So many headers fill a quarter of the space that a compression object takes.
_MEMBERS_A_GUARD: Final = 256
# From this length on ISA-L takes half of zlib's time for a CRC-32.
_WORTH_ISAL: Final = 1 << 12


def _isal_crc32(data: bytes, value: int = 0, /) -> int:
    """Compute it by ISA-L if that pays.

    Its AVX-512 code leaves the CPU in a state (there is no VZEROUPPER) in which everything else is
    slower, small members by a third.
    """
    library = _ISAL[0] if len(data) >= _WORTH_ISAL else zlib
    crc_32: int = library.crc32(data, value)
    return crc_32


#: The CRC-32 of bytes, going on from one of those before them: `zlib.crc32` or the like. zlib-ng's
#: has two thirds of ISA-L's speed (18 GB/s) with long chunks, and slows nothing with short ones.
crc32: Final[Callable[..., int]] = (
    _ZLIB_NG[0].crc32 if _ZLIB_NG else _isal_crc32 if _ISAL else zlib.crc32
)


# Text: zlib inflates 570 MB/s of it, zlib-ng 980, ISA-L 1,300.
_INFLATING: Final = next(library for found in (_ISAL, _ZLIB_NG, [zlib]) for library in found)
#: What `inflater` raises where something isn't deflate.
INFLATE_ERRORS: Final[tuple[type[Exception], ...]] = (_INFLATING.error,)


def inflater() -> DecompressObj:
    """Return what inflates one raw deflate stream."""
    made: DecompressObj = _INFLATING.decompressobj(wbits=-zlib.MAX_WBITS)
    return made


class HeapGuard:
    """Makes compression objects cheap to make, one after the other.

    One has 256 KiB. Where it is freed at the top of the heap, glibc returns the pages to the
    kernel, and the next one has to get them again: 10 to 30 µs a member. So one is held above the
    current member's and the space of another one, where blocks fit in beside the next member's. As
    the central directory grows into that space, this is done anew from time to time.
    """

    def __init__(self) -> None:
        self._members = 0
        self._held: object = None

    def renew(self) -> None:
        """Count one more member, whose compression object is made; hold another one above it."""
        if not self._members % _MEMBERS_A_GUARD:
            space = ZLIB[9]()
            self._held = ZLIB[9]()
            del space
        self._members += 1


def deflated_size_bound(uncompressed_size: int) -> int:
    """Return the most bytes that zlib's deflate makes of so many, at any level.

    It is zlib's `deflateBound` for raw deflate with the default window and memory.
    """
    size = uncompressed_size
    return size + (size >> 12) + (size >> 14) + (size >> 25) + 7


@dataclass(frozen=True, slots=True)
class Deflate:
    """A way to deflate: which library, at which of its levels. Calling it makes a `CompressObj`."""

    library: Any
    level: int

    def __call__(self) -> CompressObj:
        """Return what deflates one member."""
        made: CompressObj = self.library.compressobj(
            self.level, zlib.DEFLATED, wbits=-zlib.MAX_WBITS
        )
        return made

    def __reduce__(self) -> Any:
        # No module can be pickled, nor copied deeply.
        return _deflate, (self.library.__name__, self.level)

    def __str__(self) -> str:
        """Return the level, after the library if it isn't zlib."""
        names = [] if self.library is zlib else [self.library.__name__.rpartition(".")[2]]
        return " ".join([*names, str(self.level)])

    def block(self, content: bytes, before: bytes, is_last: bool) -> bytes:
        """Deflate one block of a stream, independently of the others: a sync flush joins them.

        `before` is what comes before it in the content, at most 32 KiB: what it may refer to.
        """
        # ISA-L takes no empty dictionary.
        dictionary = {"zdict": before} if before else {}
        library = self.library
        compressobj = library.compressobj(
            self.level, zlib.DEFLATED, wbits=-zlib.MAX_WBITS, **dictionary
        )
        data: bytes = compressobj.compress(content)
        data += compressobj.flush(library.Z_FINISH if is_last else library.Z_SYNC_FLUSH)
        return data

    def bound(self, uncompressed_size: int) -> int:
        """Return the most bytes that this makes of so many, as one stream."""
        if self.library is zlib:
            return deflated_size_bound(uncompressed_size)
        # The others guarantee nothing. Of noise, ISA-L at levels 1 to 3 makes 0.1 % more, zlib-ng
        # 6 % at level 1 and else 0.1 %. (Not for ISA-L's level 0: its fixed code makes 23 % more.)
        return blocks_size_bound(uncompressed_size)


def _deflate(library: str, level: int) -> Deflate:
    return Deflate(import_module(library), level)


def blocks_size_bound(uncompressed_size: int) -> int:
    """Return more bytes than any library makes of so many, also where it is done in blocks."""
    return uncompressed_size + (uncompressed_size >> 3) + 1024


#: zlib, by level.
ZLIB: Final = {level: Deflate(zlib, level) for level in range(-1, 10)}

#: What deflates fast enough for somebody who waits, to a good size. ISA-L's level 2 does 140 MB/s
#: where zlib's level 9 does 8, to a size 7 % larger; zlib's level 6 is 2 to 3 times as fast as 9.
FAST: Final = next(
    Deflate(library, level)
    for libraries, level in ((_ISAL, 2), (_ZLIB_NG, 6), ([zlib], 6))
    for library in libraries
)
