"""A line of progress, for terminals."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from django.core.management.base import OutputWrapper
from django.template.defaultfilters import filesizeformat

# Seconds between two states of the line: nobody could read more, and they would cost time.
_PAUSE = 0.1
_BAR_LENGTH = 20


class Line(ABC):
    """Shows what `str()` returns of it on one line, if it `is_shown`."""

    def __init__(self, out: OutputWrapper, *, is_shown: bool) -> None:
        self._out = out
        self._is_shown = is_shown
        self._length = 0
        self._shown_at = float("-inf")

    def close(self) -> None:
        """Clear the line."""
        if self._length:
            self._write("", end="\r")

    def _show(self) -> None:
        now = time.monotonic()
        if self._is_shown and now - self._shown_at >= _PAUSE:
            self._shown_at = now
            self._write(str(self))

    def _write(self, text: str, end: str = "") -> None:
        self._out.write("\r" + text.ljust(self._length) + end, ending="")
        self._out.flush()
        self._length = len(text)

    @abstractmethod
    def __str__(self) -> str:
        """Return the line."""


class ProgressLine(Line):
    """Counts files, out of a `total`, and bytes, and shows both."""

    def __init__(self, label: str, total: int, out: OutputWrapper, *, is_shown: bool) -> None:
        super().__init__(out, is_shown=is_shown)
        self._label = label
        self._total = total
        self._files = self._bytes = 0

    def add_bytes(self, length: int) -> None:
        """Count bytes that were read."""
        self._bytes += length
        self._show()

    def add_file(self) -> None:
        """Count a file that is done."""
        self._files += 1
        self._show()

    def __str__(self) -> str:
        """Return the line."""
        # Rows may be added while it runs.
        share = min(1.0, self._files / self._total) if self._total else 1.0
        counts = f"{self._files:,} of {self._total:,} files, {filesizeformat(self._bytes)} read"
        return f"{self._label} {_bar(share)} {counts}"


class BytesLine(Line):
    """Shows how many bytes of an archive are done, and their share if its length is known."""

    def __init__(self, label: str, out: OutputWrapper, *, is_shown: bool) -> None:
        super().__init__(out, is_shown=is_shown)
        self._label = label
        self._done: int = 0
        self._total: int | None = None

    def report(self, done: int, total: int | None) -> None:
        """Show how far it is."""
        self._done, self._total = done, total
        self._show()

    def __str__(self) -> str:
        """Return the line."""
        if not self._total:
            return f"{self._label}: {filesizeformat(self._done)}"
        counts = f"{filesizeformat(self._done)} of {filesizeformat(self._total)}"
        return f"{self._label} {_bar(self._done / self._total)} {counts}"


def _bar(share: float) -> str:
    bar = ("#" * int(share * _BAR_LENGTH)).ljust(_BAR_LENGTH, ".")
    return f"[{bar}] {share:4.0%}"
