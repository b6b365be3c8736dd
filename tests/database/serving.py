"""Starts the servers of the site, with a database of some kind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.harness import COMMANDS, ROOT, Server
from tests.support.network import end, eventually, free_port, listens, without_proxies


def environment(database: dict[str, Any], data: Path) -> dict[str, str]:
    """Return the environment of a process of the site."""
    return {
        **without_proxies(),
        "DJANGO_SETTINGS_MODULE": "tests.database.server_settings",
        "SITE_DATABASE": json.dumps(database),
        "SITE_DATA": str(data),
        "PYTHONPATH": str(ROOT),
    }


def fill(database: dict[str, Any], data: Path) -> None:
    """Fill the site's database and folder."""
    subprocess.run(
        [sys.executable, "-m", "tests.database.fill"],
        cwd=ROOT,
        env=environment(database, data),
        check=True,
    )


@contextmanager
def serving(name: str, database: dict[str, Any], data: Path, log: Path) -> Iterator[Server]:
    """Run a server of the site until the block ends."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[name].format(port=port).split()],
            cwd=ROOT,
            env=environment(database, data),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        eventually(lambda: process.poll() is not None or listens(port), seconds=120)
        assert process.poll() is None, f"{name} ended: {log.read_text()}"
        yield Server(name, port, log)
    finally:
        end(process)
