"""Every check, exception and line of the log stands on the page that says what to do about it."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_stream_zip.delivery import download

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "django_stream_zip"
PAGE = " ".join((ROOT / "docs" / "troubleshooting.rst").read_text().split())

# Caught within the package: no caller sees them.
INTERNAL = {
    "CopyRefusedError",
    "EncodedError",
    "NotCopiedError",
    "OverError",
    "StoppedError",
    "WrongLengthError",
}


# As they are written: some can't be imported without a storage's package.
TREES = [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")]


def exceptions() -> set[str]:
    """Return the names of all classes whose bases, or theirs, are exceptions."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    known = {name for name in dir(builtins) if name.endswith(("Error", "Exception"))}
    known.add("APIException")
    while found := {name for name in bases.keys() - known if bases[name] & known}:
        known |= found
    return {name for name in known & bases.keys() if not name.startswith("_")}


def logged() -> Iterator[str]:
    """Yield the messages of all calls of a logger, as they stand in the code."""
    for tree in TREES:
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "logger":
                first = node.args[0]
                yield first.value if isinstance(first, ast.Constant) else download._FAILED


IDS = sorted(
    {
        found
        for path in PACKAGE.rglob("*.py")
        for found in re.findall(r'id="django_stream_zip\.([EW]\d+)"', path.read_text())
    }
)
EXCEPTIONS = sorted(exceptions() - INTERNAL)
MESSAGES = sorted(set(logged()))


def test_what_is_looked_for_is_found() -> None:
    assert {"E001", "W004"} <= set(IDS)
    assert {"ZipError", "ZipDownloadError", "UnknownRecipeError"} <= set(EXCEPTIONS)
    assert exceptions() >= INTERNAL
    assert len(MESSAGES) >= 15


@pytest.mark.parametrize("found", IDS)
def test_each_check_is_explained(found: str) -> None:
    assert f"``{found}`` " in PAGE


@pytest.mark.parametrize("found", EXCEPTIONS)
def test_each_exception_is_explained(found: str) -> None:
    assert f"``{found}``" in PAGE


@pytest.mark.parametrize("found", MESSAGES)
def test_each_line_of_the_log_is_explained(found: str) -> None:
    assert f'"{re.sub("%[rs]", "…", found)}"' in PAGE


def test_the_page_names_no_exception_that_is_not_there() -> None:
    builtin = {"FileNotFoundError", "ImportError", "RuntimeError"}
    builtin |= {"PermissionError", "TypeError", "ValueError"}
    assert (
        set(re.findall(r"``(\w+Error)``", PAGE))
        == {name for name in EXCEPTIONS if name.endswith("Error")} | builtin
    )
