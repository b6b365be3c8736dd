"""Which django_stream_zip a cell runs: that of this tree or, for engines "…-before", an older one.

The benchmarks are those of this tree in any case. An older package is linked into the folder of
samples, and found there before this tree's.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.workload import Workload

ROOT = Path(__file__).resolve().parents[1]
_PACKAGE = "django_stream_zip"
_BEFORE = "-before"
#: Engines that don't use the package.
_OTHERS = frozenset(
    ("stream-zip", "stream-zip-async", "zipstream-ng", "zipfile", "floor", "plain", "idle")
)


def link(checkout: Path, folder: Path) -> None:
    """Have the package of a checkout run where an engine's name says so."""
    (folder / _BEFORE).mkdir()
    package = checkout.resolve() / _PACKAGE
    if not package.is_dir():
        raise SystemExit(f"there is no {package}")
    (folder / _BEFORE / _PACKAGE).symlink_to(package)


def compared(workload: Workload) -> Workload:
    """Return the workload with an engine of the older checkout after each that uses the package."""
    engines = [
        name
        for engine in workload.engines
        for name in ((engine,) if engine in _OTHERS else (engine, before(engine)))
    ]
    return replace(workload, engines=tuple(engines))  # type: ignore[type-var]


def before(engine: str) -> str:
    """Return the name of an engine in the older checkout."""
    return engine + _BEFORE


def current(engine: str) -> str:
    """Return the name of an engine in this one."""
    return engine.removesuffix(_BEFORE)


def process(engine: str, folder: Path, module: str, *arguments: str) -> dict[str, Any]:
    """Return what `subprocess` takes to run a module with the package that an engine is of."""
    places = [ROOT] if engine == current(engine) else [folder / _BEFORE, ROOT]
    path = os.pathsep.join(map(str, places))
    return {
        "args": [sys.executable, "-m", module, *arguments],
        # uvicorn looks there first, whatever Python's options say.
        "cwd": places[0],
        "env": {**os.environ, "PYTHONPATH": path},
    }
