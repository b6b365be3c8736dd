"""A line that shows how far something is, on a terminal and nowhere else."""

from __future__ import annotations

import time

from django.core.management.base import OutputWrapper
from django.template.defaultfilters import filesizeformat

# Seconds between two states of the line: more often costs time, and nobody can read it.
_PAUSE = 0.1
_BAR_LENGTH = 20


class ProgressLine:
    """Counts files out of a `total`, and bytes, and writes both over and over on one line.

    Writes nothing unless it `is_shown`.
    """

    def __init__(self, label: str, total: int, out: OutputWrapper, *, is_shown: bool) -> None:
        self._label = label
        self._total = total
        self._out = out
        self._is_shown = is_shown
        self._files = self._bytes = self._length = 0
        self._shown_at = float("-inf")

    def add_bytes(self, length: int) -> None:
        """Take note of bytes read."""
        self._bytes += length
        self._show()

    def add_file(self) -> None:
        """Take note of a file that is done."""
        self._files += 1
        self._show()

    def close(self) -> None:
        """Wipe the line off."""
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
        """Show how far it is."""
        # Rows may be added meanwhile.
        share = min(1.0, self._files / self._total) if self._total else 1.0
        bar = ("#" * int(share * _BAR_LENGTH)).ljust(_BAR_LENGTH, ".")
        counts = f"{self._files:,} of {self._total:,} files, {filesizeformat(self._bytes)} read"
        return f"{self._label} [{bar}] {share:4.0%} {counts}"
