"""Workloads inside one process: an archive is written and thrown away."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks import checkouts, memory
from benchmarks.engines import ENGINES, engine
from benchmarks.engines.engine import How
from benchmarks.files import File
from benchmarks.samples import Samples
from benchmarks.workload import CellError, Figures

_TIMEOUT = 900
_TRACED = 20_000


@dataclass(frozen=True)
class Streaming:
    """Files that engines write to an archive, in some way.

    With `made_ahead` the clock starts when the engine's members exist; without, they are made while
    it runs, which counts, and nobody holds them. `is_traced`: the first of them are written again,
    slowly, to count allocations.
    """

    name: str
    title: str
    files: Callable[[Samples], Iterable[File]]
    how: How
    engines: tuple[str, ...]
    made_ahead: bool = True
    is_traced: bool = False
    group: str = "engine"
    rounds_at_most: int = 9

    def measure(self, engine: str, samples: Samples) -> Figures:
        """Start an interpreter for it, so that its memory is its own."""
        name = checkouts.current(engine)
        if reason := ENGINES[name].missing():
            raise CellError(reason)
        folder = samples.folder
        cell = checkouts.process(engine, folder, "benchmarks.cell", self.name, name, str(folder))
        try:
            done = subprocess.run(**cell, capture_output=True, text=True, timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise CellError(f"not done after {_TIMEOUT} s") from None
        if done.returncode:
            raise CellError(f"failed: {(done.stderr.splitlines() or ['no word why'])[-1]}")
        figures: Figures = json.loads(done.stdout)
        return figures

    def run(self, name: str, samples: Samples) -> Figures:
        """Do it, in this process."""
        runner = engine(name)
        runner.write(list(runner.members([File.of("warm-up.jpg", b"warm up")], self.how)), self.how)
        files = self.files(samples)
        members = runner.members(files, self.how)
        if self.made_ahead:
            members = list(members)
        before = memory.start_peak()
        figures, length = timed(lambda: runner.write(members, self.how))
        figures["archive_bytes"] = length
        if (rise := memory.rise(before)) is not None:
            figures["memory_rise"] = rise
        if self.is_traced:
            again = runner.members(islice(self.files(samples), _TRACED), self.how)
            figures["traced"] = memory.traced(lambda: runner.write(again, self.how)) / _TRACED
        return figures | _amounts(self.files(samples))


def timed(work: Callable[[], Any]) -> tuple[Figures, Any]:
    """Do some work; give the time it took, by the clock and of the processors, and its result."""
    start, cpu_start = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}, result


def _amounts(files: Iterable[File]) -> Figures:
    members = content = 0
    for file in files:
        members += 1
        content += file.size
    return {"members": members, "content_bytes": content}
