"""What a reader is: one file of a storage, described by one question and read from any position.

Made where the member is made. Whatever belongs to the calling thread, such as a storage's
connection, is taken then; after that, any thread may use the reader of a remote storage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django_stream_zip.members.member import seconds_of


class Facts(NamedTuple):
    """What a storage says about a file, each None where it doesn't know.

    `size` and `crc_32` are of the bytes that `chunks` gives. `validator` changes whenever one of
    them does.
    """

    size: int | None
    modified_at: datetime | None
    validator: str | None
    crc_32: int | None = None


class Reader(ABC):
    """Reads one file of a storage.

    `decode` says whether a file that is stored gzipped, with a content encoding that says so, is
    given unpacked; None is as the storage's own `open()` does it.
    """

    #: What the reader does without. A storage whose class overrides any of it isn't read by it.
    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open")
    #: Whether it pays, and whether it is allowed, to read ahead in another thread.
    is_remote: ClassVar[bool] = False

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        self.storage = storage
        self.name = name
        self.decode = decode

    @abstractmethod
    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Facts:
        """Ask the storage, but not for what is given.

        Raises FileNotFoundError, PermissionError, or what else the storage raises.
        """

    @abstractmethod
    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give the bytes from `start` to `stop`. Opens nothing before the first one is asked for.

        Raises what `describe` does, ContentChangedError where the file isn't what it was when it
        was described, and OSError where a connection breaks off too often.
        """


def derived_validator(size: int, modified_at: datetime) -> str:
    """Give the validator of a file of which nothing else is known."""
    return f"{size:x}-{seconds_of(modified_at)}"
