"""Members of rows of packages that many sites use, which have ways of their own with files.

What each is packed as has to be what its `file.open()` gives. Smaller models that do the same are
in `test_field_files` and `test_tenants`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.servers.harness import ROOT

BOTH = {"x.txt": "public", "x (1).txt": "private"}
KEPT, GONE = {"kept.txt": "kept.txt"}, {"gone.txt": "gone.txt"}


def packed(package: str, folder: Path) -> Any:
    """Run the program; without the package skip the test, or fail it on CI."""
    if find_spec(package) is None:
        reason = f"the test needs {package}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    done = subprocess.run(
        [sys.executable, "-m", "tests.members.packages", package, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_files_of_django_filer_are_public_or_private(tmp_path: Path) -> None:
    assert packed("filer", tmp_path) == {
        "opened": ["public", "private"],
        "files": [BOTH, BOTH],
        "only": [BOTH, BOTH],
        "folder": [BOTH, BOTH],
    }


def test_rows_of_django_polymorphic_are_of_their_classes(tmp_path: Path) -> None:
    assert packed("polymorphic", tmp_path) == [{"x.txt": "media", "x (1).txt": "records"}] * 2


def test_rows_that_django_safedelete_hides_are_left_out(tmp_path: Path) -> None:
    assert packed("safedelete", tmp_path) == {
        "seen": [KEPT, KEPT],
        "limited": [KEPT, KEPT],
        "all": [KEPT | GONE, KEPT | GONE],
        "related": [KEPT, KEPT],
    }


def test_a_tenant_s_file_of_django_tenants_stays_the_tenant_s(tmp_path: Path) -> None:
    expected = {"x.txt": "me "}
    assert packed("django_tenants", tmp_path) == {"asked": expected, "known": expected}


def test_rows_of_a_history_name_files_of_a_storage(tmp_path: Path) -> None:
    told = packed("simple_history", tmp_path)
    assert "pass storage=" in told.pop("refused")
    history = {"+a.txt": "first", "~b.txt": "second"}
    assert told == {"history": [history, history], "as of": {"a.txt": "first"}}
