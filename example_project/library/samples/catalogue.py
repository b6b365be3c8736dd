"""The list of all samples: five folders, and for each file a function that writes it.

Everything comes from fixed seeds, so the same files are made each time and everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from random import Random
from typing import BinaryIO

from library.samples import jpeg, pdf
from library.samples.landscapes import LIGHTS, landscape, palette
from library.samples.measurements import write_readings
from library.samples.notes import NOTES
from library.samples.prose import diary, paragraph
from library.samples.sound import write_recording

VIEWS = {
    "Harbour": "The pier and the café",
    "Lighthouse bay": "Below the lighthouse",
    "North shore": "The boulders in the north",
    "Reed bed": "From the hide",
    "Skerries": "The western skerries from the boat",
    "South point": "The juniper heath",
}
HOURS = {
    "dawn": "before the first boat",
    "noon": "in full light",
    "dusk": "after the last boat",
    "night": "by moonlight",
}
YEARS = [
    "The year the station reopened",
    "A late spring",
    "The long drought",
    "Cranes, cranes, cranes",
    "A quiet year",
    "New roof, new boat",
    "The warm October",
    "Counting from the air",
    "Ten thousand rings",
    "The year of the owls",
]
CALLS = {
    "Cuckoo": ("Reed bed, twelve seconds", 12),
    "Cranes": ("Over the lighthouse, in fog", 21),
    "Redshank, alarm call": ("North shore, close to the nest", 9),
    "Thrush nightingale": ("Behind the sauna, at midnight", 34),
    "Dawn chorus": ("Juniper heath, ten minutes", 600),
}


@dataclass(frozen=True)
class SampleFolder:
    """A folder of the sample library."""

    slug: str
    name: str
    description: str
    samples: Callable[[bool], Iterator[Sample]]


@dataclass(frozen=True)
class Sample:
    """A document of the sample library, and how its file is written."""

    name: str
    title: str
    uploaded_at: datetime
    write: Callable[[BinaryIO], object]


def photographs(small: bool) -> Iterator[Sample]:
    """Landscapes, at four times of day."""
    width, height = (160, 120) if small else (640, 480)
    taken = datetime(2025, 5, 3, 6, tzinfo=UTC)
    for place, view in VIEWS.items():
        for light in LIGHTS:
            name = f"{place} at {light}.jpg"
            write = partial(write_photograph, seed=name, light=light, size=(width, height))
            yield Sample(name, f"{view}, {HOURS[light]}", taken, write)
            taken += timedelta(days=3, hours=5, minutes=17)


def write_photograph(stream: BinaryIO, seed: str, light: str, size: tuple[int, int]) -> None:
    """One of the landscapes."""
    stream.write(jpeg.encode(landscape(seed, *size), palette(LIGHTS[light])))


def reports(small: bool) -> Iterator[Sample]:
    """A report for each year; the last one was handed in twice under the same name."""
    for year, subject in enumerate(YEARS, start=2016):
        title = f"Annual report {year}"
        write = partial(write_report, title=title, paragraphs=20 if small else 60)
        received = datetime(year + 1, 2, 11, 9, 30, tzinfo=UTC)
        yield Sample(f"{title}.pdf", subject, received, write)
    corrected = partial(write_report, title=f"{title} (corrected)", paragraphs=22 if small else 64)
    yield Sample(f"{title}.pdf", subject, received + timedelta(days=19), corrected)


def write_report(stream: BinaryIO, title: str, paragraphs: int) -> None:
    """A report of so many paragraphs."""
    random = Random(title)
    stream.write(pdf.encode(title, [paragraph(random) for _ in range(paragraphs)]))


def measurements(small: bool) -> Iterator[Sample]:
    """A table for each month of a year, and one that is still empty."""
    for month in range(1, 13):
        start = datetime(2025, month, 1, tzinfo=UTC)
        following = datetime(2025 + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        days = 1 if small else (following - start).days
        title = f"Weather station, {start:%B %Y}"
        write = partial(write_readings, seed=title, start=start, days=days)
        yield Sample(f"weather-{start:%Y-%m}.csv", title, following + timedelta(hours=8), write)
    received = datetime(2026, 1, 1, 8, tzinfo=UTC)
    yield Sample("weather-2026-01.csv", "Weather station, not yet read out", received, leave_empty)


def leave_empty(stream: BinaryIO) -> None:
    """An empty file: it has to arrive as well."""


def field_notes(small: bool) -> Iterator[Sample]:
    """Short notes in several scripts, and two diaries of some megabytes."""
    noted = datetime(2025, 8, 14, 17, 45, tzinfo=UTC)
    for name, (title, text) in NOTES.items():
        write = partial(write_text, parts=[text])
        yield Sample(name, title, noted, write)
        noted += timedelta(days=1, minutes=7)
    for name, title, first_day, length in (
        ("Diary 1988-2006.txt", "Typed from the paper books", date(1988, 4, 1), 2_500_000),
        ("Diary 2007-2025.txt", "The station's own diary", date(2007, 1, 1), 3_200_000),
    ):
        entries = diary(name, first_day, 20_000 if small else length)
        yield Sample(name, title, noted, partial(write_text, parts=entries))


def write_text(stream: BinaryIO, parts: Iterator[str] | list[str]) -> None:
    """A text, in UTF-8."""
    stream.writelines(part.encode() for part in parts)


def recordings(small: bool) -> Iterator[Sample]:
    """Short recordings, and one of more than a hundred megabytes."""
    recorded = datetime(2025, 6, 1, 2, 40, tzinfo=UTC)
    for subject, (title, seconds) in CALLS.items():
        length = 1 + seconds // 100 if small else seconds
        write = partial(write_recording, seed=subject, seconds=length)
        yield Sample(f"{subject}.wav", title, recorded, write)
        recorded += timedelta(hours=26, minutes=11)


FOLDERS = [
    SampleFolder(
        "photographs",
        "Photographs",
        "The island through the seasons, from the same six places at four times of day.",
        photographs,
    ),
    SampleFolder(
        "annual-reports",
        "Annual reports",
        "What the station did and saw each year. The report for 2025 was handed in twice.",
        reports,
    ),
    SampleFolder(
        "measurements",
        "Measurements",
        "Readings of the weather station, one each minute, in a table for each month.",
        measurements,
    ),
    SampleFolder(
        "field-notes",
        "Örö field notes",
        "Notebooks of guests from many countries, and the diaries of the station.",
        field_notes,
    ),
    SampleFolder(
        "recordings",
        "Recordings",
        "Bird calls in stereo. The dawn chorus is a large file, over 100 MB.",
        recordings,
    ),
]
