"""Pictures for the samples: islands, sea and sky, painted from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from library.samples.jpeg import Colour

SKY_SHADES = 96
SEA_SHADES = 48


@dataclass(frozen=True)
class Light:
    """The colours of one time of day."""

    zenith: Colour
    horizon: Colour
    sun: Colour
    hills: tuple[Colour, Colour, Colour]
    sea: Colour


LIGHTS = {
    "dawn": Light(
        (74, 92, 150),
        (250, 190, 150),
        (255, 240, 205),
        ((158, 134, 160), (104, 96, 130), (52, 56, 84)),
        (92, 104, 150),
    ),
    "noon": Light(
        (58, 132, 200),
        (206, 232, 244),
        (255, 252, 232),
        ((134, 170, 176), (84, 132, 116), (42, 84, 66)),
        (38, 108, 148),
    ),
    "dusk": Light(
        (52, 40, 92),
        (244, 132, 84),
        (255, 214, 140),
        ((150, 84, 104), (94, 54, 84), (44, 30, 56)),
        (84, 52, 96),
    ),
    "night": Light(
        (10, 16, 40),
        (44, 66, 104),
        (236, 238, 226),
        ((36, 54, 84), (24, 36, 62), (12, 18, 36)),
        (16, 28, 58),
    ),
}


def blend(first: Colour, last: Colour, count: int) -> list[Colour]:
    """So many colours, evenly from the first one to the last."""
    return [
        tuple(round(a + (b - a) * step / (count - 1)) for a, b in zip(first, last, strict=True))
        for step in range(count)
    ]


def palette(light: Light) -> list[Colour]:
    """The colours of a picture: the sky, the sea, the sun, then the hills."""
    sky = blend(light.zenith, light.horizon, SKY_SHADES)
    sea = blend(light.horizon, light.sea, SEA_SHADES)
    return [*sky, *sea, light.sun, *light.hills]


def ridge(random: Random, width: int, base: float, height: float) -> Callable[[int], float]:
    """The outline of a row of hills: how high the land is at each column."""
    waves = [
        (height / number, number * random.uniform(0.7, 1.4), random.uniform(0, math.tau))
        for number in (1, 2, 4, 9, 23)
    ]

    def outline(column: int) -> float:
        turn = math.tau * column / width
        return base + sum(size * math.sin(speed * turn + start) for size, speed, start in waves)

    return outline


def landscape(seed: str, width: int, height: int) -> list[bytes]:
    """The rows of a picture, as indexes into the palette."""
    random = Random(seed)
    shore = int(height * random.uniform(0.62, 0.76))
    background = [
        *(row * SKY_SHADES // shore for row in range(shore)),
        *(SKY_SHADES + row * SEA_SHADES // (height - shore) for row in range(height - shore)),
    ]
    hills = [
        ridge(random, width, height * base, height * 0.045)
        for base in (random.uniform(0.16, 0.24), random.uniform(0.08, 0.13), 0.01)
    ]
    sun = (random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.6) * shore, height * 0.065)
    columns = [column(x, background, shore, hills, sun) for x in range(width)]
    return [bytes(row) for row in zip(*columns, strict=True)]


def column(
    x: int,
    background: list[int],
    shore: int,
    hills: list[Callable[[int], float]],
    sun: tuple[float, float, float],
) -> list[int]:
    """One column of the picture, from top to bottom: what is farther away is painted first."""
    points = background.copy()
    sun_x, sun_y, radius = sun
    if abs(x - sun_x) < radius:
        half = math.sqrt(radius**2 - (x - sun_x) ** 2)
        paint(points, sun_y - half, sun_y + half, SKY_SHADES + SEA_SHADES)
        # Its reflection: short strokes that grow wider towards the beholder.
        for y in range(shore + 4, len(points), 7):
            if abs(x - sun_x) < radius * (0.3 + 0.7 * (y - shore) / (len(points) - shore)):
                paint(points, y, y + 2, SKY_SHADES + SEA_SHADES)
    for number, outline in enumerate(hills):
        paint(points, shore - outline(x), shore, SKY_SHADES + SEA_SHADES + 1 + number)
    return points


def paint(points: list[int], top: float, bottom: float, colour: int) -> None:
    """One stroke down a column."""
    first, last = max(0, int(top)), min(len(points), int(bottom))
    points[first:last] = [colour] * (last - first)
