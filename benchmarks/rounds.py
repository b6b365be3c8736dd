"""Runs the cells: engine after engine, then all over again, so that a busy moment hits them all."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from benchmarks.results import Results
from benchmarks.samples import Samples
from benchmarks.workload import CellError, Workload


def run(workload: Workload, rounds: int, samples: Samples, results: Results) -> None:
    """Run all cells of a workload."""
    engines = list(workload.engines)
    for number in range(min(rounds, workload.rounds_at_most)):
        for engine in tuple(engines):
            _note(f"{workload.name}: round {number + 1}, {engine}")
            try:
                results.add(workload.name, engine, number, workload.measure(engine, samples))
            except CellError as error:
                results.lack(workload.name, engine, str(error))
                engines.remove(engine)
    _note("")


def chosen(workloads: Iterable[Any], only: list[str], engines: list[str]) -> list[Any]:
    """Return the workloads of these names or groups, with these engines.

    Of no names: all but those that take minutes. Of no engines: all.
    """
    if only:
        named = [job for job in workloads if job.name in only or job.group in only]
    else:
        named = [job for job in workloads if job.group != "zeros"]
    if not engines:
        return named
    kept = [(job, tuple(name for name in job.engines if name in engines)) for job in named]
    return [replace(job, engines=names) for job, names in kept if names]


def _note(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
