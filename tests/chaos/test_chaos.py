"""Short chaos runs for everybody, long ones for `-m slow`.

CHAOS_SEED chooses others of them (they are the same each time by default), CHAOS_DOWNLOADS says how
many downloads a long one has.
"""

from __future__ import annotations

import random
import time
import zipfile
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.oracle import Damaged, File, Wrong, check
from tests.chaos.places import LocalPlace, S3Place
from tests.chaos.run import Trial, from_environment, run
from tests.chaos.scenario import Scenario
from tests.chaos.servers import World, world

SEED = from_environment("CHAOS_SEED", 1)
# Seconds after which a short run begins no more downloads: all of them take less than 40 with their
# servers, on two cores that are free.
SHORT = 4.0
LONG = from_environment("CHAOS_DOWNLOADS", 2_000)

WORLDS = [("gunicorn", "local"), ("uvicorn", "local"), ("uvicorn", "s3"), ("gunicorn", "s3")]


def chaos(server: str, storage: str, folder: Path, numbers: range, seconds: float) -> None:
    if storage == "s3":
        pytest.importorskip("storages")
        pytest.importorskip("boto3")
    with world(server, storage, folder) as there:
        tally = run(there, SEED, numbers, seconds)
        print(*tally.lines(), sep="\n")
        told = "\n".join([*tally.lines(), *tally.report(there)])
    assert not tally.bad, f"seed {SEED}\n{told}"
    assert not tally.left, f"seed {SEED}\n{told}"
    assert any(verdict.name == "complete" for verdict in tally.verdicts)


@pytest.mark.parametrize(("server", "storage"), WORLDS[:3])
def test_what_arrives_complete_is_one_state_of_each_file(
    server: str, storage: str, tmp_path: Path
) -> None:
    chaos(server, storage, tmp_path, range(45), SHORT)


@pytest.mark.slow
@pytest.mark.parametrize(("server", "storage"), WORLDS)
def test_so_it_is_of_many(server: str, storage: str, tmp_path: Path) -> None:
    chaos(server, storage, tmp_path, range(1000, 1000 + LONG), 24 * 3600)


# The oracle itself: one that finds nothing would be content with everything.


def made(*sizes: int) -> list[File]:
    files = [File(f"d/{number}.bin") for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        file.change("made", file.fresh(size), lambda: None)
    return files


def zipped(contents: dict[str, bytes]) -> bytes:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, content in contents.items():
            writer.writestr(name, content)
    return archive.getvalue()


def test_the_oracle_takes_any_state() -> None:
    files = made(1000, 0, 300)
    old = files[0].now
    files[0].change("another", files[0].fresh(1000), lambda: None)
    for first in (old, files[0].now):
        check(zipped({f.name: f.now for f in files} | {files[0].name: first}), files, None)


def test_the_oracle_finds_a_mixture() -> None:
    files = made(1000)
    old = files[0].now
    files[0].change("another", files[0].fresh(1000), lambda: None)
    mixture = zipped({files[0].name: old[:512] + files[0].now[512:]})
    with pytest.raises(Wrong, match=r"from 0 state 0 \(made\), from 512 state 1 \(another\)"):
        check(mixture, files, None)


def test_the_oracle_finds_a_state_that_was_over_before() -> None:
    files = made(1000)
    old = files[0].now
    files[0].change("another", files[0].fresh(1000), lambda: None)
    archive = zipped({files[0].name: old})
    check(archive, files, None, since=files[0].states[0].until)
    with pytest.raises(Wrong, match=r"from 0 state 0 \(made\)"):
        check(archive, files, None, since=time.monotonic())


def test_the_oracle_finds_members_that_are_missing_or_others() -> None:
    files = made(10, 20)
    for found in (files[:1], [*files, *made(1, 1, 1)[2:]]):
        with pytest.raises(Wrong, match="members"):
            check(zipped({file.name: file.now for file in found}), files, None)


def test_the_oracle_finds_damage_at_any_byte() -> None:
    files = made(1000)
    archive = bytearray(zipped({files[0].name: files[0].now}))
    for at in random.Random(1).sample(range(40, 1040), 20):
        damaged = bytearray(archive)
        damaged[at] ^= 1
        with pytest.raises((Damaged, Wrong)):
            check(bytes(damaged), files, None)


# What excuses damage: nobody could tell.


def trial(shape: str, place: Any, *states: int) -> Trial:
    chosen = Scenario(0, 0, shape, "storage", False, None, None, "if-range", ("plain",), (1000,))
    one = Trial(World("gunicorn", "local", defaultdict(object), place), chosen)  # type: ignore[arg-type]
    for size in (1000, *states):
        one.files[0].change("another", one.files[0].fresh(size), lambda: None)
    one.history = ["200 by plain at 0", "cut at 500", "206 by plain at 500"]
    return one


@pytest.mark.parametrize(
    ("shape", "storage", "states", "is_misled"),
    [
        ("declared", "local", [1000], True),
        ("declared-size", "s3", [900, 1000], True),
        ("known", "local", [900], True),
        ("declared", "local", [], False),
        ("declared-size", "local", [900], False),  # the size tells
        ("known", "s3", [1000], False),  # the store knows
        ("stored", "local", [1000], False),
        ("row", "s3", [1000], False),  # the validator tells
    ],
)
def test_a_row_that_may_mislead(
    shape: str, storage: str, states: list[int], is_misled: bool, tmp_path: Path
) -> None:
    places = {"local": LocalPlace(tmp_path), "s3": S3Place(None, None)}  # type: ignore[arg-type]
    one = trial(shape, places[storage], *states)
    name = one.files[0].name
    assert one.is_misled(Damaged("Bad CRC-32", name, 0)) is is_misled
    # Not without a range that goes by what it says, nor where something else is damaged.
    assert not one.is_misled(Damaged("Bad CRC-32", name, 500))
    assert not one.is_misled(Damaged("the directory"))
    assert not one.is_misled(None)
    one.history.append("200 by plain at 700")
    assert not one.is_misled(Damaged("Bad CRC-32", name, 0))
