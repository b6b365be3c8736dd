"""How a member is written: the methods of the API, as values.

What a method means for the bytes is decided in `entry`.
"""

from __future__ import annotations

from enum import Enum
from operator import index
from typing import Final, NamedTuple

from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import ZLIB, Deflate
from django_stream_zip.engine.errors import ZipValueError


class Coding(Enum):
    """How a member's content is encoded."""

    DEFLATE = "deflate"
    STORE = "store"
    #: It is a deflate stream already.
    ENCODED = "encoded"


# For every member: to look a name up in an Enum takes 70 ns.
DEFLATE: Final = Coding.DEFLATE
STORE: Final = Coding.STORE
ENCODED: Final = Coding.ENCODED


class Method(NamedTuple):
    """How a member is written. Made by the names below, not by hand.

    `zip64` is None where Zip64 is used only if it is needed; `uncompressed_size` (bytes) and
    `crc_32` are declared of the content, or None. `deflate` is how it is deflated, None where
    `get_compressobj` decides. `compressed_size` is of a content that is a deflate stream already:
    size and CRC-32 are then of what it inflates to.
    """

    name: str
    coding: Coding
    zip64: bool | None
    uncompressed_size: int | None = None
    crc_32: int | None = None
    deflate: Deflate | None = None
    buffered: bool = False
    compressed_size: int | None = None

    @property
    def content_size(self) -> int | None:
        """Number of bytes that are passed as the member's content, if its data follows from it."""
        if self.coding is DEFLATE:
            return None
        return self.uncompressed_size if self.compressed_size is None else self.compressed_size

    def __repr__(self) -> str:
        """Return the call that makes it."""
        declared = (self.compressed_size, self.uncompressed_size, self.crc_32, self.deflate)
        values = [v for v in declared if v is not None]
        shown = list(map(str, values))
        if self.zip64 is None and self.uncompressed_size is None:
            shown.insert(0, "None")
        return f"{self.name}({', '.join(shown)})" if shown else self.name


class BufferedMethod(Method):
    """A stored method.

    As it is, it holds the whole member in memory to learn size and CRC-32; called with both, it
    streams.
    """

    __slots__ = ()

    def __call__(self, uncompressed_size: int, crc_32: int) -> Method:
        """Return the method that streams a member of this size (bytes) and CRC-32.

        Raises ZipValueError where a value can't be a size or a CRC-32.
        """
        name = self.name
        size = _integer(name, "uncompressed_size", uncompressed_size, spec.MAX_64)
        crc_32 = _integer(name, "crc_32", crc_32, spec.MAX_32)
        # The same as Method(...), in less time: this is called for every member.
        return tuple.__new__(
            Method, (name, self.coding, self.zip64, size, crc_32, None, False, None)
        )


#: Deflated by `get_compressobj`, at most 4 GiB.
ZIP_32: Final = Method("ZIP_32", Coding.DEFLATE, zip64=False)
#: Deflated by `get_compressobj`, of any size.
ZIP_64: Final = Method("ZIP_64", Coding.DEFLATE, zip64=True)
#: Stored, at most 4 GiB.
NO_COMPRESSION_32: Final = BufferedMethod(
    "NO_COMPRESSION_32", Coding.STORE, zip64=False, buffered=True
)
#: Stored, of any size.
NO_COMPRESSION_64: Final = BufferedMethod(
    "NO_COMPRESSION_64", Coding.STORE, zip64=True, buffered=True
)


def ZIP_AUTO(uncompressed_size: int, level: int = 9) -> Method:
    """Deflate a member of about this size (bytes) with zlib's `level` (-1 to 9).

    The size only decides how the member begins; content of another size is no error. A member that
    outgrows 4 GiB unexpectedly can be read by all who have the whole file, and by some from a pipe.
    Raises ZipValueError where a value can't be a size or a level.
    """
    size = _size("ZIP_AUTO", uncompressed_size)
    return Method("ZIP_AUTO", Coding.DEFLATE, None, size, None, zlib_at(level))


def zlib_at(level: int) -> Deflate:
    """Return zlib's deflate at a level; raise ZipValueError where it has no such level."""
    if not (isinstance(level, int) and -1 <= level <= 9):
        raise ZipValueError(f"ZIP_AUTO: level must be an integer from -1 to 9, not {level!r}")
    return ZLIB[level]


def deflated(uncompressed_size: int | None, deflate: Deflate) -> Method:
    """Deflate a member as `deflate` says: a `ZIP_AUTO`, if its size isn't known without one.

    Not `ZIP_64`: Java's ZipInputStream (17) and npm's unzipper refuse small members with its 64-bit
    data descriptor.
    """
    size = None if uncompressed_size is None else _size("ZIP_AUTO", uncompressed_size)
    return Method("ZIP_AUTO", Coding.DEFLATE, None, size, None, deflate)


def NO_COMPRESSION_AUTO(uncompressed_size: int, crc_32: int | None = None) -> Method:
    """Write a member of this size (bytes) without compression, Zip64 where needed.

    With its CRC-32 the member is stored, size and CRC-32 in its local file header. Without, it is
    deflate made of stored blocks, which streaming readers can read though the CRC-32 comes last.
    Raises ZipValueError where a value can't be a size or a CRC-32.
    """
    name = "NO_COMPRESSION_AUTO"
    size = uncompressed_size
    # For every member: what is as it should be is seen without a call.
    if not (size.__class__ is int and 0 <= size <= spec.MAX_64):
        size = _size(name, size)
    if not (crc_32 is None or (crc_32.__class__ is int and 0 <= crc_32 <= spec.MAX_32)):
        crc_32 = _crc_32(name, crc_32)
    # As above: in less time.
    return tuple.__new__(Method, (name, STORE, None, size, crc_32, None, False, None))


def PRECOMPRESSED(compressed_size: int, uncompressed_size: int, crc_32: int) -> Method:
    """Pass a content through that is a raw deflate stream already (RFC 1951), Zip64 where needed.

    The sizes (bytes) and the CRC-32, which is that of what it inflates to, stand in the local file
    header. What passes is inflated beside it, to be verified: an error is raised where it isn't one
    such stream, from its first byte to its last. (What is in a gzip file, between its header and
    its trailer, is one.) Raises ZipValueError where a value can't be a size or a CRC-32.
    """
    name = "PRECOMPRESSED"
    compressed_size = _integer(
        name, "compressed_size", compressed_size, spec.MAX_64, spec.MIN_DEFLATED_SIZE
    )
    size, crc_32 = _size(name, uncompressed_size), _crc_32(name, crc_32)
    return Method(name, ENCODED, None, size, crc_32, compressed_size=compressed_size)


def _size(method: str, value: int) -> int:
    return _integer(method, "uncompressed_size", value, spec.MAX_64)


def _crc_32(method: str, value: int) -> int:
    return _integer(method, "crc_32", value, spec.MAX_32)


def _integer(method: str, name: str, value: int, maximum: int, minimum: int = 0) -> int:
    if value.__class__ is int and minimum <= value <= maximum:
        return value
    try:
        number = index(value)
    except TypeError:
        number = -1
    if not minimum <= number <= maximum:
        raise ZipValueError(
            f"{method}: {name} must be an integer from {minimum} to {maximum:,}, not {value!r}"
        )
    return number
