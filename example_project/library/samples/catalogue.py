"""The list of all samples: five folders, the files that are in the repository, and a large one."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from library.samples import large

HERE = Path(__file__).parent


@dataclass(frozen=True)
class SampleFolder:
    """A folder of the sample library."""

    slug: str
    name: str
    description: str


@dataclass(frozen=True)
class Sample:
    """A document of the sample library, and how its file is opened."""

    name: str
    title: str
    uploaded_at: datetime
    open: Callable[[], AbstractContextManager[BinaryIO]]


FOLDERS = [
    SampleFolder(
        "photographs",
        "Photographs",
        "The island through the seasons, from the same six places at four times of day.",
    ),
    SampleFolder(
        "annual-reports",
        "Annual reports",
        "What the station did and saw each year. The report for 2025 was handed in twice.",
    ),
    SampleFolder(
        "measurements",
        "Measurements",
        "Readings of the weather station, one each minute, on the first day of each month.",
    ),
    SampleFolder(
        "field-notes",
        "Örö field notes",
        "Notebooks of guests from many countries, and the diaries of the station.",
    ),
    SampleFolder(
        "recordings",
        "Recordings",
        "Bird calls, and a large file, over 100 MB, of a microphone under water.",
    ),
]


def samples(slug: str, *, small: bool) -> Iterator[Sample]:
    """Yield the samples of a folder, the large one in a `small` version if wanted."""
    with (HERE / "catalogue.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            if row["folder"] == slug:
                yield Sample(
                    row["name"],
                    row["title"],
                    datetime.fromisoformat(row["uploaded_at"]),
                    partial((HERE / "files" / slug / row["file"]).open, "rb"),
                )
    if slug == "recordings":
        yield Sample(
            "Hydrophone.zip",
            "North shore, one night under water",
            datetime(2025, 6, 5, 11, 24, tzinfo=UTC),
            partial(large.opened, 1 if small else 105),
        )
