"""What happens in one download, chosen from tables by a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tests.chaos.places import FAULTS, LOCAL_FAULTS
from tests.chaos.servers import KINDS, WSGI, can_be_refused
from tests.chaos.tables import ENDINGS, POISON, SHAPES

# How clients resume: see `client`.
CLIENTS = ("if-range", "compare", "segments", "naive")

# What a client or an operator does, and how often of a hundred.
ENDS = {"cut": 60, "close": 25, "kill": 3, "give-up": 12}
CACHES = ("poison", "clear")

BUILDERS = {"local": ("file", "file", "storage", "open"), "s3": ("s3",)}

# What a download has to survive if the archive can be resumed.
HARMLESS = {"cut", "close", "kill", "clear"}
# What the client's copy and the store's may differ after, without another entity tag: these come to
# light by a CRC-32, when the archive is opened.
SAME_TAG = {name for name in LOCAL_FAULTS if name.endswith("-restored")} | {"poison"}


@dataclass(frozen=True)
class Event:
    """What happens once the client has so much of the archive: a share of it, 0 to 1."""

    at: float
    what: str
    file: int | None = None  # the one that is being sent
    value: int = 0


@dataclass(frozen=True)
class Scenario:
    """A download and what happens to it."""

    seed: int
    number: int
    shape: str
    builder: str
    is_async: bool
    password: str | None
    fail: str | None
    client: str
    servers: tuple[str, ...]  # one for each connection, then the first one again
    sizes: tuple[int, ...]
    is_warm: bool = False  # whether it was downloaded once before, so that CRC-32s are learned
    before: tuple[Event, ...] = ()  # what happens between that and this download
    events: tuple[Event, ...] = ()

    @property
    def happened(self) -> set[str]:
        """Name all that happens."""
        ending = {self.fail} if self.fail else set()
        return {event.what for event in (*self.before, *self.events)} | ending

    @property
    def is_resumable(self) -> bool:
        """Whether the archive has an entity tag."""
        plain = self.shape not in {"deflated", "mixed", "generator"}
        return plain and self.password is None

    @property
    def declared(self) -> tuple[str, ...]:
        """What a row declares. `file_member` is for files of which no row keeps a validator."""
        declared, _ = SHAPES[self.shape]
        return tuple(what for what in declared if self.builder != "file" or what != "validator")

    @property
    def cannot_tell(self) -> bool:
        """Whether nobody can tell states of a file apart, or the client doesn't."""
        return self.client == "naive" or bool(self.happened & SAME_TAG)

    def names(self) -> Iterator[str]:
        """Name the files."""
        for index in range(len(self.sizes)):
            yield f"d{self.number:06}/{index}.bin"

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def scenario(seed: int, number: int, server: str, storage: str) -> Scenario:
    """Choose one: the same each time for the same seed and number."""
    source = random.Random(f"{seed} {number} {server} {storage}")
    is_async = server not in WSGI and source.random() < 0.5
    sizes = tuple(_size(source) for _ in range(source.randint(1, 6)))
    is_warm = source.random() < 0.3
    return Scenario(
        seed=seed,
        number=number,
        shape=source.choice(list(SHAPES)),
        builder=source.choice(BUILDERS[storage]),
        is_async=is_async,
        password=source.choice([None, None, None, "secret"]),
        fail=source.choice(list(ENDINGS)) if is_async and source.random() < 0.05 else None,
        client=source.choice(CLIENTS),
        servers=tuple(_servers(source)),
        sizes=sizes,
        is_warm=is_warm,
        before=tuple(_changes(source, storage, len(sizes), 0.0)) if is_warm else (),
        events=tuple(_events(source, storage, len(sizes))),
    )


def _size(source: random.Random) -> int:
    """Choose a small one, or one of which the server hasn't read all when a client has begun."""
    if source.random() < 0.5:
        return source.randint(150_000, 900_000)
    return source.choice([0, 1, 1000, 70_000, source.randint(0, 100_000)])


def _servers(source: random.Random) -> list[str]:
    """Choose the servers that the first connections go to: mostly one and the same."""
    if source.random() < 0.6:
        return [source.choice(list(KINDS))]
    return [source.choice(list(KINDS)) for _ in range(3)]


def _events(source: random.Random, storage: str, files: int) -> Iterator[Event]:
    """Choose up to three moments: the end of a connection, a change, or both at once."""
    for at in sorted(source.random() for _ in range(source.choice([0, 1, 1, 1, 2, 3]))):
        if source.random() < 0.5:
            yield Event(at, source.choices(list(ENDS), list(ENDS.values()))[0])
        yield from _changes(source, storage, files, at)


def _changes(source: random.Random, storage: str, files: int, at: float) -> Iterator[Event]:
    kind = source.choices(["nothing", "file", "cache"], [4, 5, 1])[0]
    if kind == "file":
        what = source.choice([name for name in FAULTS[storage] if _can_happen(name)])
        yield Event(at, what, file=_file(source, files), value=source.randrange(1 << 30))
    if kind == "cache":
        yield Event(at, source.choice(CACHES), value=source.randrange(len(POISON)))


def _file(source: random.Random, files: int) -> int | None:
    return None if source.random() < 0.7 else source.randrange(files)


def _can_happen(fault: str) -> bool:
    return fault != "unreadable" or can_be_refused()
