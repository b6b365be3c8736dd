"""A page of lazy members closes no connection from which somebody else still reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.database.nested import FILES, FOLDERS
from tests.database.postgres import Postgres
from tests.servers.harness import ROOT


def run(database: dict[str, Any]) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.database.nested"],
        cwd=ROOT,
        env={**os.environ, "NESTED_DATABASE": json.dumps(database)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_is_whole(told: Any) -> None:
    """See that both archives are, and that one connection was kept and the other one wasn't."""
    assert told["nested"]["files"] == told["alone"]["files"] == FOLDERS * FILES
    assert told["alone"]["was_open"] == [False]
    assert True in told["nested"]["was_open"]
    assert not told["nested"]["is_open"]


def test_a_loop_over_rows_of_sqlite_goes_on(tmp_path: Path) -> None:
    name = str(tmp_path / "db.sqlite3")
    assert_is_whole(run({"ENGINE": "django.db.backends.sqlite3", "NAME": name}))


def test_a_loop_over_rows_of_postgresql_goes_on(database: Postgres) -> None:
    database.ask("CREATE DATABASE nested")
    settings = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "nested",
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "PORT": database.port,
    }
    assert_is_whole(run(settings))
