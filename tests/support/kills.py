"""Processes that are killed while they save: nothing is published, and the next one goes on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django_stream_zip import stream_zip
from django_stream_zip.saving import save_zip, sweep, zip_parts
from tests.support.network import without_proxies
from tests.support.saving import AT_ONCE
from tests.support.saving_child import members

ROOT = Path(__file__).parents[2]


def kill_again_and_again(
    storage: Any,
    path: str,
    options: dict[str, Any],
    left_over: Callable[[], Any],
    tmp_path: Path,
    *,
    kills: int = 20,
    part_size: int = 1 << 20,
    size: int = 16 << 20,
    tells_left_over: bool = True,
) -> None:
    """Kill processes at random moments, those that save in turn and those that can be resumed."""
    name = "folder/killed.zip"
    old, whole = (b"".join(stream_zip(each)) for each in ([], members(size)))
    chance, killed = random.Random(kills), 0
    token = tmp_path / "token"
    order = {"storage": path, "options": options, "name": name, "token": str(token)}
    order |= {"size": size, "seconds": 0.01, "part_size": part_size}
    while killed < kills:
        save_zip(storage, name, [], overwrite=True)
        workers = chance.choice([1, 3])
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.saving_child",
                json.dumps(order | {"workers": workers}),
            ],
            cwd=ROOT,
            env={**without_proxies(), "PYTHONPATH": str(ROOT)},
        )
        time.sleep(chance.uniform(0.5, 2.5))
        child.kill()
        killed += child.wait() != 0
        with storage.open(name) as file:
            found = file.read()
        if found == whole:  # it was faster
            token.unlink(missing_ok=True)
            continue
        assert found == old, "something else was published"
        if token.exists():
            resumed_by_what_is_missing(storage, name, token, size)
        sweep(storage, name, older_than=AT_ONCE)
        assert not left_over() or not tells_left_over


def resumed_by_what_is_missing(storage: Any, name: str, token: Path, size: int) -> None:
    """Go on, and check that only what was missing is made."""
    text = token.read_text()
    token.unlink()
    missing = zip_parts(storage, name, members(size), token=text)
    numbers = missing.missing()
    saved = save_zip(storage, name, members(size), resume=text, overwrite=True)
    assert saved.bytes_sent == sum(missing.sizes[number - 1] for number in numbers)
    with storage.open(name) as file:
        assert file.read() == b"".join(stream_zip(members(size)))
