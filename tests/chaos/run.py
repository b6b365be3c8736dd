"""A run: scenarios carried out, judged and counted."""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from tests.chaos.client import Client, Failed, GaveUp, Hang, Refused
from tests.chaos.oracle import Damaged, File, Wrong, check
from tests.chaos.places import FAULTS
from tests.chaos.scenario import HARMLESS, Event, Scenario, scenario
from tests.chaos.servers import WSGI, Killable, World
from tests.servers.harness import Reply

AT_ONCE = 6

# How a download can end. The first four are as it should be. The next two are where nobody can do
# better: a reader refuses what a client put together of two states that look the same, or what a
# row without a validator says that is no longer so.
GOOD = ("complete", "refused", "failed", "gave up", "damaged", "misled")
BAD = ("NEEDLESS", "DAMAGED", "WRONG", "HANG", "ERROR")


@dataclass(frozen=True)
class Verdict:
    """How a download ended, and why."""

    name: str
    scenario: Scenario
    why: str = ""

    @property
    def is_bad(self) -> bool:
        return self.name in BAD


class Trial:
    """Carries out one scenario."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self.files = [File(name) for name in scenario.names()]
        self.servers = [world.servers[kind] for kind in scenario.servers]
        self.wanted = ""
        self.history: list[str] = []
        self.damage: Damaged | None = None

    def verdict(self) -> Verdict:
        """Do everything, and judge it."""
        place, disturbances = self.world.place, self.world.disturbances
        is_known = self.scenario.shape == "known"
        try:
            for file, size in zip(self.files, self.scenario.sizes, strict=True):
                place.create(file, size, known=is_known)
            self.wanted = self._wanted()
            name, why = self._ended()
        finally:
            place.remove(self.files)
        is_quiet = self.scenario.happened <= HARMLESS and disturbances == self.world.disturbances
        is_misled = self.is_misled(self.damage)
        verdict = judged(name, self.scenario, is_quiet=is_quiet, is_misled=is_misled)
        return Verdict(verdict, self.scenario, why)

    def is_misled(self, damage: Damaged | None) -> bool:
        """Return whether a range was made of a member whose row says what is no longer so.

        A row without a validator vouches for all contents that have the size that it declares, or
        for any if it declares the CRC-32 only. Who gets all of a member at once gets it checked; a
        range that begins in it or behind it goes by the row, and by what was learned before.
        """
        declared = self.world.place.vouched(self.scenario.declared)
        if damage is None or damage.member is None or not declared or "validator" in declared:
            return False
        file = next(file for file in self.files if file.name == damage.member)
        size, *others = [len(state.data) for state in file.states]
        was_changed = size in others if "size" in declared else bool(others)
        return was_changed and last_start(self.history) > damage.at

    def _ended(self) -> tuple[str, str]:
        try:
            if "validator" in self.scenario.declared:
                self.wanted = self._with_validators()
            if self.scenario.is_warm:
                self._download(replace(self.scenario, client="if-range", events=()))
                for event in self.scenario.before:
                    self._happen(event, self.servers[0], 0)
            self._download(self.scenario)
        except (Refused, Failed, GaveUp, Hang, Damaged, Wrong) as end:
            self.damage = end if isinstance(end, Damaged) else None
            return ENDINGS[type(end)], f"{end}; {self.history}"
        except Exception as error:
            return "ERROR", f"{type(error).__name__}: {error}; {self.history}"
        return "complete", ""

    def _download(self, scenario: Scenario) -> None:
        path = f"/zip/?{urlencode({'wanted': self.wanted})}"
        client = Client(scenario, path, self.servers, self._happen)
        self.history = client.history
        check(client.run(), self.files, scenario.password, client.begun_at)

    def _wanted(self) -> str:
        """Describe the archive as the site wants it."""
        scenario, place = self.scenario, self.world.place
        # The store itself knows the checksum, if it is one.
        declares = not (self.world.storage == "s3" and scenario.shape == "known")
        files = [
            {"name": file.name, **(place.declared(file) if declares else {})} for file in self.files
        ]
        return json.dumps(
            {
                "number": scenario.number,
                "files": files,
                "shape": scenario.shape,
                "builder": scenario.builder,
                "async": scenario.is_async,
                "password": scenario.password,
                "fail": scenario.fail,
            },
            separators=(",", ":"),
        )

    def _with_validators(self) -> str:
        """Have the site tell what rows would keep of the files, and declare it."""
        wanted, query = json.loads(self.wanted), urlencode({"wanted": self.wanted})
        reply = persistently(self.servers[0], f"/validators/?{query}")
        if reply is None or reply.status != 200:
            raise Refused("the validators")
        validators = json.loads(reply.body)["validators"]
        for file, validator in zip(wanted["files"], validators, strict=True):
            file["validator"] = validator
        return json.dumps(wanted, separators=(",", ":"))

    def _happen(self, event: Event, server: Killable, position: int) -> None:
        if event.what == "kill":
            server.kill()
        elif event.what in {"poison", "clear"}:
            query = urlencode({"wanted": self.wanted, "value": event.value})
            persistently(server, f"/{event.what}/?{query}")
        else:
            fault: Any = FAULTS[self.world.storage][event.what]
            fault(self.world.place, self._file(event, position), random.Random(event.value))

    def _file(self, event: Event, position: int) -> File:
        """Find the file that something happens to: by default the one in which the client is."""
        if event.file is not None:
            return self.files[event.file]
        for file, size in zip(self.files, self.scenario.sizes, strict=True):
            position -= size
            if position < 0:
                return file
        return self.files[-1]


def last_start(history: list[str]) -> int:
    """Return where the last range begins that the client's archive is made of; 0 if it is of one.

    A 200 is a new beginning, wherever the client was.
    """
    answers = [line for line in history if line.startswith(("200 ", "206 "))]
    return int(answers[-1].split()[-1]) if answers and answers[-1].startswith("206 ") else 0


def persistently(server: Killable, path: str) -> Reply | None:
    """Ask again where somebody has just killed the server."""
    for _ in range(3):
        server.is_there.wait(60)
        with suppress(OSError, http.client.HTTPException):
            return server.ask(path)
    return None


ENDINGS: dict[type[Exception], str] = {
    Refused: "refused",
    Failed: "failed",
    GaveUp: "gave up",
    Hang: "HANG",
    Damaged: "DAMAGED",
    Wrong: "WRONG",
}


def judged(name: str, scenario: Scenario, *, is_quiet: bool, is_misled: bool) -> str:
    """Return whether an end was as it should be, under these circumstances."""
    if is_quiet and name in {"refused", "failed", "DAMAGED"}:
        return "NEEDLESS"
    if name == "DAMAGED" and scenario.cannot_tell and not is_quiet:
        return "damaged"
    if name == "DAMAGED" and is_misled:
        return "misled"
    return name


@dataclass
class Tally:
    """The verdicts of a run."""

    seconds: float = 0.0
    verdicts: list[Verdict] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # what is open though all downloads are over

    @property
    def bad(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.is_bad]

    def lines(self) -> Iterator[str]:
        """Show a table: what happened in a download, and how many ended how."""
        names = (*GOOD, *BAD)
        yield f"{'':20}{'downloads':>10}" + "".join(f"{name:>10}" for name in names)
        for what, verdicts in [("all", self.verdicts), *sorted(self._groups().items())]:
            counts = Counter(verdict.name for verdict in verdicts)
            row = "".join(f"{counts[name] or '·':>10}" for name in names)
            yield f"{what:20}{len(verdicts):>10}{row}"
        rate = len(self.verdicts) / (self.seconds or 1)
        yield f"{len(self.verdicts)} downloads in {self.seconds:.0f} s, {rate:.1f} a second"
        yield from (f"left open: {what}" for what in self.left)

    def _groups(self) -> dict[str, list[Verdict]]:
        """Sort the verdicts by what happened, and by what the archive and the client were like."""
        found: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            one = verdict.scenario
            like = (f"shape {one.shape}", f"client {one.client}", f"by {one.builder}")
            for what in (*(one.happened or {"(nothing)"}), *like):
                found.setdefault(what, []).append(verdict)
        return found

    def report(self, world: World, most: int = 10) -> Iterator[str]:
        """Tell of the bad ones, the worst first, and how to see one again."""
        for verdict in sorted(self.bad, key=lambda bad: -BAD.index(bad.name))[:most]:
            one = verdict.scenario
            yield f"{verdict.name} {one}\n  {verdict.why[:1500]}"
            yield (
                f"  again: python -m tests.chaos --server {world.server} --storage {world.storage}"
                f" --seed {one.seed} --only {one.number}"
            )


def run(world: World, seed: int, numbers: range, seconds: float) -> Tally:
    """Carry out the scenarios with these numbers, as many as the time is enough for."""
    warm_up(world)
    before = {kind: measured(server) for kind, server in world.servers.items()}
    tally, begun = Tally(), time.monotonic()

    def one(number: int) -> None:
        if time.monotonic() < begun + seconds:
            chosen = scenario(seed, number, world.server, world.storage)
            tally.verdicts.append(Trial(world, chosen).verdict())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, numbers))
    tally.seconds = time.monotonic() - begun
    warm_up(world)  # those that were killed
    tally.left = list(left_open(world, before))
    return tally


def warm_up(world: World) -> None:
    """Have every server start the threads and connections that it keeps."""

    def quiet(kind: str) -> Verdict:
        number = next(numbers)
        is_async = world.server not in WSGI and number % 2 == 0
        calm = Scenario(0, number, "stored", builder, is_async, None, None, "naive", (kind,), sizes)
        return Trial(world, calm).verdict()

    numbers = iter(range(900_000, 1_000_000))
    builder = {"local": "file", "s3": "s3"}[world.storage]
    sizes = (1000,) * 3
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = list(pool.map(quiet, [*world.servers] * AT_ONCE))
    wrong = [verdict for verdict in verdicts if verdict.name != "complete"]
    assert not wrong, f"the site doesn't work: {wrong[0]}"


# Threads that servers keep for their requests, and asgiref for one.
SERVERS_OWN = ("ThreadPoolExecutor-", "uvloop_")

Measured = dict[str, int]
# A client of an object store keeps idle connections for the next requests.
POOLS = {"local": 0, "s3": 20}


def measured(server: Killable) -> Measured:
    """Count what a server has open."""
    told = server.debug()
    threads = [name for name in told["threads"] if not name.startswith(SERVERS_OWN)]
    kinds = Counter("socket" if name.startswith("socket:") else "file" for name in told["files"])
    return {
        "files": kinds["file"],
        "sockets": kinds["socket"],
        "threads": len(threads),
        "tasks": len(told["tasks"]),
        "unfinished": told["started"] - told["finished"],
    }


def left_open(world: World, before: dict[str, Measured]) -> Iterator[str]:
    """Tell what is open that wasn't before the run. What closes takes a moment."""
    allowed = {"sockets": POOLS[world.storage]}
    for kind, server in world.servers.items():
        # Asking takes part in what is counted, and the site needs time to close.
        for _ in range(100):
            now = measured(server)
            more = [what for what in now if now[what] > before[kind][what] + allowed.get(what, 0)]
            if not more:
                break
            time.sleep(0.1)
        told = server.debug()
        for what in more:
            yield f"{what} of {kind}: {before[kind][what]} before, {now[what]} now {told.get(what)}"


def from_environment(name: str, default: int) -> int:
    """Return a number that the environment may set."""
    return int(os.environ.get(name, default))
