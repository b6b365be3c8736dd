"""What a store copies into an upload by itself: the bytes don't pass through this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class CopyRefusedError(Exception):
    """The store copies nothing from some place: what is there has to be sent."""

    def __init__(self, place: str) -> None:
        super().__init__(f"the store copies nothing from {place}")
        self.place = place


class CopySource(ABC):
    """A content that the store of an upload has itself. Any thread may use it."""

    #: Who may not copy one of its contents may copy none.
    place: str

    @abstractmethod
    def is_copyable(self, size: int) -> bool:
        """Ask what it is, unless somebody has. Returns whether its bytes can be copied.

        Raises ContentChangedError where it isn't what its member was made for.
        """

    @abstractmethod
    def copy_part(self, upload: Any, number: int, start: int, stop: int) -> None:
        """Have a range of it become a part of an upload of the same store.

        Raises ContentChangedError where it was replaced, and CopyRefusedError.
        """
