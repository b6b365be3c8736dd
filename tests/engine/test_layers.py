"""The engine stands alone: it works without Django, and touches neither files nor the clock."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import django_stream_zip
from django_stream_zip import engine

FOLDER = Path(engine.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))
EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)

SCRIPT = """
import sys

hidden = sys.argv[1:]
for name in hidden:
    sys.modules[name] = None

import asyncio, io, zipfile
from datetime import datetime
from django_stream_zip import NO_COMPRESSION_32, ZIP_32, ZIP_AUTO, async_stream_zip, stream_zip

time = datetime(2024, 2, 29)
members = [("a", time, 0o100644, ZIP_32, [b"1"]), ("b", time, 0o100644, ZIP_AUTO(1), [b"2"])]
password = None if "Crypto" in hidden else "p"
assert b"".join(stream_zip(members, password=password)).startswith(b"PK")
data = b"".join(stream_zip(members))
assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["a", "b"]

async def empty():
    return
    yield

async def collect():
    return b"".join([block async for block in async_stream_zip(empty())])

assert len(asyncio.run(collect())) == 22
for name in hidden:
    assert not [one for one in sys.modules if one.startswith(name + ".")], name
"""


@pytest.mark.parametrize("hidden", ["django", "asgiref", "storages", "Crypto"])
def test_the_engine_works_without(hidden: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, hidden],
        cwd=FOLDER.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_no_django() -> None:
    script = "import sys, django_stream_zip; print([m for m in sys.modules if 'django' in m])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=FOLDER.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    names = ast.literal_eval(done.stdout)
    assert "django_stream_zip" in names
    assert [name for name in names if name.split(".")[0] != "django_stream_zip"] == []


FORBIDDEN_MODULES = {
    *("os", "io", "pathlib", "tempfile", "shutil", "socket", "subprocess", "sys"),
    *("time", "random", "logging", "threading", "sqlite3", "urllib", "http"),
    *("django", "asgiref", "storages"),
}
FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}
FORBIDDEN_ATTRIBUTES = {"now", "utcnow", "today", "fromtimestamp", "urandom"}


def sins(source: str) -> Iterator[str]:
    """Yield what an engine may not do."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (a.name for a in names if a.name.split(".")[0] in FORBIDDEN_MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in FORBIDDEN_MODULES:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
                yield f"{name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in FORBIDDEN_ATTRIBUTES:
                yield f"{name}()"


@EVERY_FILE
def test_the_engine_touches_no_files_and_no_clock(path: Path) -> None:
    assert list(sins(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "open('a')",
        "import os",
        "import os.path",
        "from os import path",
        "def f():\n    import time",
        "from random import random",
        "datetime.now()",
        "datetime.datetime.now(UTC)",
        "date.today()",
    ],
)
def test_a_sin_is_found(source: str) -> None:
    assert list(sins(source))


@EVERY_FILE
def test_the_engine_is_imported_by_its_full_name_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            inner = (node.module or "").startswith("django_stream_zip")
            assert not inner or (node.module or "").startswith("django_stream_zip.engine")


def test_all_files_are_looked_at() -> None:
    assert {"archive.py", "entry.py", "records.py", "streams.py"} <= {path.name for path in FILES}
    assert Path(django_stream_zip.__file__).parent == FOLDER.parent
