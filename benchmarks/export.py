"""The figures as JSON, for the documentation's page and for comparing runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import targets
from benchmarks.report import PEERS
from benchmarks.results import Results
from benchmarks.workload import Workload


def write(
    path: Path,
    environment: dict[str, Any],
    workloads: Iterable[Workload],
    results: Results,
) -> None:
    """Write all that was measured, each round of it."""
    told = {
        "environment": environment,
        "workloads": {
            job.name: {
                "title": job.title,
                "engines": {engine: _cell(job, engine, results) for engine in job.engines},
            }
            for job in workloads
        },
        "targets": list(_targets(results)),
    }
    path.write_text(json.dumps(told, indent=1) + "\n")


def _cell(job: Workload, engine: str, results: Results) -> dict[str, Any]:
    rounds = results.figures.get((job.name, engine), {})
    figures = sorted({figure for figures in rounds.values() for figure in figures})
    return {
        "rounds": list(rounds.values()),
        "medians": {figure: results.median(job.name, engine, figure) for figure in figures},
        "times_as_fast_as": {
            peer: results.times_as_fast(job.name, engine, peer, "seconds")
            for peer in PEERS
            if peer in job.engines and peer != engine
        },
        "missing": results.reasons.get((job.name, engine)),
    }


def _targets(results: Results) -> Iterable[dict[str, Any]]:
    for target in targets.of(results):
        value = target.measured(results)
        if value is not None:
            yield {
                "workload": target.workload,
                "engine": target.engine,
                "figure": target.figure,
                "against": target.peers,
                target.bound.replace(" ", "_"): target.value,
                "measured": value,
                "met": target.is_met(value),
            }
