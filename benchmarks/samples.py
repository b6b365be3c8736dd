"""The sample files on disk: made by whoever needs them first, in a folder that goes away."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks import albums, csv_text

MIB = 1 << 20
FILM_LENGTH = 64 * MIB
FILMS = 16


class Samples:
    """A folder of sample files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def subfolder(self) -> tempfile.TemporaryDirectory[str]:
        """Return a folder in it that goes away earlier."""
        return tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True)

    def payments(self) -> Path:
        """Return 64 MiB of text with much in it that can't be guessed."""
        return self._made("payments.csv", lambda: csv_text.text(64 * MIB, csv_text.payments))

    def orders(self) -> Path:
        """Return 64 MiB of text that repeats itself."""
        return self._made("orders.csv", lambda: csv_text.text(64 * MIB, csv_text.orders))

    def photo(self) -> Path:
        """Return 64 MiB that can't be compressed, under a name that says so."""
        return self._made("photo.jpg", lambda: _noise(64 * MIB))

    def films(self) -> list[Path]:
        """Return 1 GiB in 16 files that can't be compressed. All have the same content."""
        names = [f"film-{number:02}.mp4" for number in range(FILMS)]
        return [self._made(name, lambda: _noise(FILM_LENGTH)) for name in names]

    def album(self, name: str) -> list[Path]:
        """Return the files of an album of the site, whose rows are in its database."""
        albums.ensure(self.folder, name)
        return albums.paths(self.folder, name)

    def _made(self, name: str, content: Callable[[], bytes]) -> Path:
        path = self.folder / name
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(content())
            os.utime(part, (1_700_000_000, 1_700_000_000))
            part.rename(path)
        return path


@cache
def _noise(length: int) -> bytes:
    return random.Random(1).randbytes(length)
