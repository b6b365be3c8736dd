"""The tests of selections once more, with PostgreSQL as the database: other SQL, other limits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.database.postgres import DATABASE, Postgres
from tests.database.serving import environment
from tests.servers.harness import ROOT

# What is about ids, and about selections that are links. One process runs all of it.
TESTS = {
    "web/test_queryset_view.py": "id or ids or link or picks or resumed",
    "web/test_admin.py": "large or across or lost",
    "database/test_keys.py": "test",
}
SELECTED = " or ".join(f"({Path(name).stem} and ({words}))" for name, words in TESTS.items())


def test_the_same_holds_on_postgresql(database: Postgres, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "PORT": database.port,
    }
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
    command += [
        "--ds=tests.database.server_settings",
        "--nomigrations",
        "-m",
        "not slow",
        "-k",
        SELECTED,
    ]
    run = subprocess.run(
        [*command, *(str(ROOT / "tests" / name) for name in TESTS)],
        cwd=ROOT,
        env=environment(settings, tmp_path),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-10_000:]
    assert " passed" in run.stdout
    assert all(f"tests/{name}::" in run.stdout for name in TESTS)
