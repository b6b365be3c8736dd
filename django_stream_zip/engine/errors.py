"""What can be wrong with the caller's values. Exceptions from the caller's iterables pass through.

One root that is never raised itself; the leaves say what was wrong.
"""

from __future__ import annotations

from typing import Final


class ZipError(Exception):
    """Root of all errors of the engine. Not raised itself."""


class ZipValueError(ZipError, ValueError):
    """A value can't be written to a ZIP archive."""


class MisuseError(RuntimeError):
    """A method of the core was called out of order: a mistake of the code that drives it.

    It is not a `ZipError`, as no value of a member is wrong.
    """


class ZipIntegrityError(ZipValueError):
    """A member's content is not what was declared. Not raised itself."""


class CRC32IntegrityError(ZipIntegrityError):
    """A member's content has another CRC-32 than was declared."""


class UncompressedSizeIntegrityError(ZipIntegrityError):
    """A member's content has another size than was declared."""


class DeflateIntegrityError(ZipIntegrityError):
    """A content is not the one deflate stream of that size which was declared."""


class ZipOverflowError(ZipValueError, OverflowError):
    """A value is too large for its field. Not raised itself."""


class UncompressedSizeOverflowError(ZipOverflowError):
    """A member's uncompressed size is too large for its method."""


class CompressedSizeOverflowError(ZipOverflowError):
    """A member's compressed size is too large for its method."""


class CentralDirectorySizeOverflowError(ZipOverflowError):
    """The central directory is too large for an archive without Zip64."""


class CentralDirectoryNumberOfEntriesOverflowError(ZipOverflowError):
    """There are too many members for an archive without Zip64."""


class OffsetOverflowError(ZipOverflowError):
    """A member or the central directory starts too late for an archive without Zip64."""


class NameLengthOverflowError(ZipOverflowError):
    """A member's name has more than 65,535 bytes in UTF-8."""


# What is said of a member's values, wherever they are found to be wrong.


def shortened(value: object) -> str:
    """Return the repr of a value, as far as a message has room for it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def one_line(text: str) -> str:
    """Return a text without line breaks and other controls: a name in it could forge a log line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def not_a_name(name: object) -> TypeError:
    """Return the error for a name that is not a str."""
    return TypeError(f"a member's name must be a str, not {shortened(name)}")


def not_a_time(name: str, modified_at: object) -> TypeError:
    """Return the error for a time that is not a datetime."""
    hint = f"; use {_DATETIMES[kind]}" if (kind := type(modified_at).__name__) in _DATETIMES else ""
    return TypeError(
        f"member {name!r}: modified_at must be a datetime, not {shortened(modified_at)}{hint}"
    )


_DATETIMES: Final = {
    "date": "datetime(date.year, date.month, date.day)",
    "int": "datetime.fromtimestamp(seconds, UTC)",
    "float": "datetime.fromtimestamp(seconds, UTC)",
    "str": "datetime.fromisoformat(text)",
}


def not_a_mode(name: str, mode: object) -> ZipValueError:
    """Return the error for a mode that is not a st_mode."""
    return ZipValueError(
        f"member {name!r}: mode must be a st_mode from 0 to 0o177777 such as 0o100644, not "
        f"{shortened(mode)}"
    )


def not_a_method(name: str, method: object) -> TypeError:
    """Return the error for what is not a method, such as one that needs a size and has none."""
    called = getattr(method, "__name__", None) if callable(method) else None
    hint = f"; use {called}(size)" if called else ""
    return TypeError(f"member {name!r}: method must be a Method, not {shortened(method)}{hint}")


def not_chunks(name: str, content: object, *, is_async: bool = False) -> TypeError:
    """Return the error for a content that can't, or should not, be iterated."""
    kind = "asynchronous iterable" if is_async else "iterable"
    return TypeError(
        f"member {name!r}: its chunks must be an {kind} of bytes, not {type(content).__name__}"
        f"{_instead_of(content, is_async)}"
    )


def _instead_of(content: object, is_async: bool) -> str:
    if isinstance(content, str):
        return "; use [text.encode()]"
    if isinstance(content, bytes | bytearray | memoryview):
        return "; use [data]"
    if hasattr(content, "__aiter__") and not is_async:
        return "; use async_stream_zip, or a synchronous iterable"
    if hasattr(content, "__iter__") and is_async:
        return "; use stream_zip, or an asynchronous iterable"
    return f"; use {called}()" if (called := getattr(content, "__name__", None)) else ""


def not_members(function: str, files: object) -> TypeError:
    """Return the error for what can't be iterated by `function`, one of the two that write."""
    kind, other = type(files).__name__, _OTHER[function]
    if hasattr(files, "__iter__") or hasattr(files, "__aiter__"):
        instead = f"{other}(members)"
    elif called := getattr(files, "__name__", None):
        instead = f"{function}({called}())"
    else:
        instead = f"{function}([member])"
    iterable = "an asynchronous iterable" if function == "async_stream_zip" else "an iterable"
    return TypeError(f"{function} takes {iterable} of members, not {kind}; use {instead}")


_OTHER: Final = {"stream_zip": "async_stream_zip", "async_stream_zip": "stream_zip"}
