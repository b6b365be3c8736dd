"""Texts for the samples: diaries and reports of the field station, put together by chance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

WHO = [
    "The morning watch",
    "Our visitor from Turku",
    "The ringing team",
    "A school class",
    "The warden",
    "Everybody at the station",
    "The boat crew",
    "One of the students",
]
DID = [
    "counted",
    "photographed",
    "heard",
    "followed",
    "recorded",
    "mistook a seal for",
    "waited two hours for",
    "was surprised by",
]
WHAT = [
    "forty eider ducks",
    "a white-tailed eagle",
    "the first swallows",
    "a pair of cranes",
    "three moth species",
    "the old lighthouse fox",
    "long-tailed ducks far out",
    "a very late cuckoo",
]
WHERE = [
    "on the western skerries",
    "behind the sauna",
    "from the lighthouse",
    "near the café on the pier",
    "in the juniper heath",
    "off the south point",
    "above the reed bed",
    "along the old military road",
]
WEATHER = [
    "The wind turned to the south-west in the evening.",
    "Fog until ten, then clear.",
    "Rain, and the roof of the store leaks again.",
    "The sea was as smooth as glass.",
    "The gauge showed 14 °C at noon.",
    "Frost on the jetty in the morning.",
]


def sentence(random: Random) -> str:
    """One sentence, often about birds."""
    if random.random() < 0.2:
        return random.choice(WEATHER)
    return " ".join([*map(random.choice, (WHO, DID, WHAT, WHERE))]) + "."


def paragraph(random: Random) -> str:
    """A few sentences."""
    return " ".join(sentence(random) for _ in range(random.randint(3, 7)))


def diary(seed: str, first_day: date, length: int) -> Iterator[str]:
    """Entries, one for each day, until there are about so many characters."""
    random = Random(seed)
    day = first_day
    while length > 0:
        entry = f"{day:%A}, {day.isoformat()}\n{paragraph(random)}\n\n"
        yield entry
        length -= len(entry)
        day += timedelta(days=1)
