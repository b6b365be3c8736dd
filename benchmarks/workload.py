"""What a workload is to those who run it and who tell of it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

from benchmarks.samples import Samples

#: What one cell of the table measured. Seconds, bytes, and numbers, by the names in `report`.
Figures = dict[str, float]


class CellError(Exception):
    """A cell has no figures; the message says why, for the table."""


def need(*packages: str) -> None:
    """Raise CellError if one of these packages isn't installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise CellError(f"needs {', '.join(missing)}")


class Workload(Protocol):
    """One job for several engines."""

    name: str
    title: str
    group: str
    engines: tuple[str, ...]
    #: So many rounds tell enough, if more are asked for.
    rounds_at_most: int

    def measure(self, engine: str, samples: Samples) -> Figures:
        """Do the job once, in a process of its own. Raises CellError."""
