"""A line of progress, for terminals."""

from __future__ import annotations

import time

from django.core.management.base import OutputWrapper
from django.template.defaultfilters import filesizeformat

# Seconds between two states of the line: nobody could read more, and they would cost time.
_PAUSE = 0.1
_BAR_LENGTH = 20


class ProgressLine:
    """Counts files, out of a `total`, and bytes, and shows both on one line if it `is_shown`."""

    def __init__(self, label: str, total: int, out: OutputWrapper, *, is_shown: bool) -> None:
        self._label = label
        self._total = total
        self._out = out
        self._is_shown = is_shown
        self._files = self._bytes = self._length = 0
        self._shown_at = float("-inf")

    def add_bytes(self, length: int) -> None:
        """Count bytes that were read."""
        self._bytes += length
        self._show()

    def add_file(self) -> None:
        """Count a file that is done."""
        self._files += 1
        self._show()

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

    def __str__(self) -> str:
        """Return the line."""
        # Rows may be added while it runs.
        share = min(1.0, self._files / self._total) if self._total else 1.0
        bar = ("#" * int(share * _BAR_LENGTH)).ljust(_BAR_LENGTH, ".")
        counts = f"{self._files:,} of {self._total:,} files, {filesizeformat(self._bytes)} read"
        return f"{self._label} [{bar}] {share:4.0%} {counts}"
