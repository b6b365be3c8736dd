"""Tables for the samples: a weather station's readings, one each minute, as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import BinaryIO

HEADER = [
    "time",
    "temperature_c",
    "humidity_percent",
    "pressure_hpa",
    "wind_m_s",
    "wind_direction_deg",
]


def write_readings(stream: BinaryIO, seed: str, start: datetime, days: int) -> None:
    """The readings of some days, in a file that spreadsheets and programs read."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    table = csv.writer(text)
    table.writerow(HEADER)
    table.writerows(readings(Random(seed), start, days * 24 * 60))
    text.detach()


def readings(random: Random, start: datetime, count: int) -> Iterator[list[str]]:
    """Rows that change slowly, as weather does: with the day, the season and by chance."""
    season = -8 * math.cos(math.tau * start.timetuple().tm_yday / 365)
    pressure, direction = 1_012.0, 220.0
    for minute in range(count):
        time = start + timedelta(minutes=minute)
        day = math.sin(math.tau * (minute / 1_440 - 0.375))
        pressure += random.uniform(-0.05, 0.05)
        direction = (direction + random.uniform(-6, 6)) % 360
        yield [
            time.isoformat(),
            f"{7 + season + 4 * day + random.uniform(-0.3, 0.3):.1f}",
            f"{76 - 12 * day + random.uniform(-2, 2):.0f}",
            f"{pressure:.1f}",
            f"{5 + 2 * day + random.uniform(0, 1.5):.1f}",
            f"{direction:.0f}",
        ]
