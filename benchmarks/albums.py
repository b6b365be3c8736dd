"""Albums: files of one kind in the site's storage, and the rows that name them.

An album is made once, in a process of its own: `python -m benchmarks.albums FOLDER NAME`. So the
process that runs the cells stays without a site.
"""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks import csv_text
from benchmarks.configured import MEDIA, configure
from benchmarks.files import OnDisk

ROOT = Path(__file__).resolve().parents[1]
_AT = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
_MB = 1_000_000

Contents = Iterator[bytes]


@dataclass(frozen=True)
class Album:
    """So many files of a size. `contents` yields them, None: there are rows only, and no files."""

    number: int
    size: int
    extension: str
    contents: Callable[[Album], Contents] | None
    is_known: bool = True
    is_gzipped: bool = False

    def stored_names(self, name: str) -> list[str]:
        """Return the files' names in the storage."""
        return [f"{name}/{number:06}{self.extension}" for number in range(self.number)]

    @property
    def suffix(self) -> str:
        """What comes after such a name on the disk."""
        return ".gz" if self.is_gzipped else ""

    @property
    def model_name(self) -> str:
        """Which model the rows are of."""
        return "Gzipped" if self.is_gzipped else "Known" if self.is_known else "Unknown"

    @property
    def is_stored(self) -> bool:
        """Whether deflating them would save nothing."""
        return self.extension == ".jpg"

    @property
    def content_bytes(self) -> int:
        return self.number * self.size


def _photos(album: Album) -> Contents:
    source = random.Random(album.number)
    return (source.randbytes(album.size) for _ in range(album.number))


def _texts(rows: csv_text.Rows, album: Album) -> Contents:
    """Yield texts that are slices of some megabytes, each from a start of its own."""
    text = csv_text.text(max(8 * _MB, 2 * album.size), rows)
    span = len(text) - album.size
    for number in range(album.number):
        start = number * 768_143 % span
        yield text[start : start + album.size]


_ORDERS = partial(_texts, csv_text.orders)
_LOGS = partial(_texts, csv_text.requests)

ALBUMS = {
    "photos": Album(10_000, 10_000, ".jpg", _photos),
    "photos-unknown": Album(10_000, 10_000, ".jpg", _photos, is_known=False),
    "texts": Album(5_000, 12_000, ".txt", _ORDERS),
    "large-photos": Album(200, 5 * _MB, ".jpg", _photos),
    "rows": Album(100_000, 10_000, ".jpg", None),
    "logs": Album(200, 5 * _MB, ".log", _LOGS, is_known=False, is_gzipped=True),
}


def ensure(folder: Path, name: str) -> None:
    """Have an album made, if it isn't there."""
    done = folder / f"{name}.made"
    if not done.exists():
        command = [sys.executable, "-m", "benchmarks.albums", str(folder), name]
        subprocess.run(command, cwd=ROOT, check=True)
        done.touch()


def paths(folder: Path, name: str) -> list[Path]:
    """Return the files of an album."""
    album = ALBUMS[name]
    return [folder / MEDIA / f"{stored}{album.suffix}" for stored in album.stored_names(name)]


def plain_chunks(name: str, count: int) -> Iterator[bytes]:
    """Return the bytes of so many files of an album, in the site's process."""
    from django.conf import settings

    stored = ALBUMS[name].stored_names(name)[:count]
    return chain.from_iterable(OnDisk(f"{settings.MEDIA_ROOT}/{one}") for one in stored)


def rows(name: str, count: int | None = None) -> Any:
    """Return the rows of an album, or the first of them: a queryset."""
    from benchmarks import models

    model = getattr(models, ALBUMS[name].model_name)
    number = ALBUMS[name].number if count is None else count
    return model.objects.filter(album=name, number__lt=number)


def _make(folder: Path, name: str) -> None:
    """Write the files, and insert the rows."""
    from django.apps import apps
    from django.db import connection

    there = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in apps.get_app_config("benchmarks").get_models():
            if model._meta.db_table not in there:
                editor.create_model(model)
    (folder / MEDIA / name).mkdir(parents=True, exist_ok=True)
    rows(name).delete()  # of who was interrupted
    rows(name).model.objects.bulk_create(_instances(folder, name), batch_size=1000)


def _instances(folder: Path, name: str) -> Iterator[Any]:
    album, model = ALBUMS[name], rows(name).model
    contents = album.contents(album) if album.contents else iter([b""] * album.number)
    files = zip(album.stored_names(name), paths(folder, name), contents, strict=True)
    for number, (stored, path, content) in enumerate(files):
        row = model(album=name, number=number, title=f"{name} {number:06}", file=stored)
        if album.is_known:
            row.zip_size, row.zip_crc_32 = album.size, zlib.crc32(content)
            row.zip_modified_at = _AT
        if album.contents:
            path.write_bytes(gzip.compress(content) if album.is_gzipped else content)
        yield row


if __name__ == "__main__":
    configure(Path(sys.argv[1]))
    _make(Path(sys.argv[1]), sys.argv[2])
