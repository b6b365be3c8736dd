"""What the project wants of the figures, and how far it is. Nothing fails by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.checkouts import before
from benchmarks.report import aligned
from benchmarks.results import Results

MIB = 1 << 20
PEERS = ("stream-zip", "zipstream-ng", "zipfile")
_SERVED_PEERS = ("stream-zip", "zipstream-ng")
#: By the name of a speed, what it is measured by.
_CLOCKS = {"speed": "seconds", "CPU speed": "cpu_seconds"}
#: So fast in comparison with an older checkout is as fast.
_AS_FAST = 0.97


@dataclass(frozen=True)
class Target:
    """A bound for a figure of an engine, or for its ratio to that of the best of some peers.

    Of a speed the ratio is that of the seconds turned round: times as fast. `peer_figure` is what
    the peers' figure is, if it is another one.
    """

    workload: str
    engine: str
    figure: str
    bound: Literal["at least", "at most"]
    value: float
    peers: tuple[str, ...] = ()
    per_member: bool = False
    peer_figure: str | None = None

    def measured(self, results: Results, clock: str | None = None) -> float | None:
        """Return what it is; of a speed by another clock, if there is one."""
        if not self.peers:
            value = results.median(self.workload, self.engine, self.figure)
            members = results.median(self.workload, self.engine, "members") or 1
            return value if value is None or not self.per_member else value / members
        ratios = [
            self._ratio(results, peer, clock or _CLOCKS.get(self.figure)) for peer in self.peers
        ]
        known = [ratio for ratio in ratios if ratio is not None]
        worst = min if self.bound == "at least" else max
        return worst(known) if known else None

    def is_met(self, value: float) -> bool:
        """Return whether a value is good enough."""
        return value >= self.value if self.bound == "at least" else value <= self.value

    def _ratio(self, results: Results, peer: str, clock: str | None) -> float | None:
        if clock is not None:
            return results.times_as_fast(self.workload, self.engine, peer, clock)
        return results.ratio(self.workload, self.engine, peer, self.figure, self.peer_figure)


def _faster(workload: str, engine: str, value: float, *peers: str) -> Target:
    return Target(workload, engine, "speed", "at least", value, peers)


def _less(workload: str, engine: str, figure: str, value: float, *peers: str) -> Target:
    return Target(workload, engine, figure, "at most", value, peers)


def _cheaper(workload: str, engine: str, value: float, *peers: str) -> Target:
    return Target(workload, engine, "CPU speed", "at least", value, peers)


def _starts_sooner(workload: str, engine: str, value: float, *peers: str) -> Target:
    """Have the first byte come within a part of the time that the peers take for all."""
    return Target(workload, engine, "first_byte", "at most", value, peers, peer_figure="seconds")


TARGETS = (
    _faster("small-deflated", "ours-zlib", 1.2, "zipstream-ng"),
    _faster("small-stored", "ours", 4, "stream-zip"),
    _faster("small-stored", "ours", 2.5, "zipstream-ng"),
    _faster("large-stored", "ours-zlib", 1.0, *PEERS),
    _faster("large-stored", "ours", 1.3, *PEERS),
    _faster("csv", "ours-django", 12, "stream-zip"),
    _less("csv", "ours-django", "archive_bytes", 1.10, "stream-zip"),
    _faster("csv", "ours-django-workers", 20, "stream-zip"),
    _faster("csv", "ours-workers", 1.8, "ours"),
    _less("csv", "ours-workers", "archive_bytes", 1.02, "ours"),
    _faster("incompressible", "ours-django", 50, "stream-zip"),
    _faster("aes-large", "ours", 1.8, "stream-zip"),
    _less("members-memory", "ours", "memory_rise", 0.6, "stream-zip"),
    _less("members-memory", "ours", "traced", 0.6, "stream-zip"),
    Target("members-memory", "ours", "memory_rise", "at most", 400, per_member=True),
    _faster("gunicorn", "ours", 1.2, "zipstream-ng"),
    _less("uvicorn", "ours", "memory_rise", 1 / 20, "stream-zip"),
    _less("uvicorn", "ours", "first_byte", 1 / 20, "stream-zip"),
    _faster("large-stored", "ours-async", 0.8, "ours"),
    _faster("csv", "ours-async", 0.9, "ours"),
    _faster("async-small-stored", "ours-async", 0.4, "ours"),
    _faster("async-small-deflated", "ours-async", 0.4, "ours"),
    _faster("large-stored", "ours-async", 10, "stream-zip-async"),
    _faster("async-small-stored", "ours-async", 15, "stream-zip-async"),
    _faster("async-small-deflated", "ours-async", 15, "stream-zip-async"),
    *(
        target
        for name in ("uvicorn", "uvicorn-standard")
        for target in (
            _faster(name, "ours", 0.5, "plain"),
            _faster(name, "ours-async", 0.5, "plain"),
            _less(f"slow-clients-{name}", "ours", "memory_rise", 32 * MIB),
            _less(f"slow-clients-{name}", "ours-async", "memory_rise", 32 * MIB),
            _less(f"loop-{name}", "sync", "timer_p99", 0.005),
            _less(f"loop-{name}", "async", "timer_p99", 0.005),
            _less(f"loop-{name}", "sync", "view_p99", 0.050),
            _less(f"loop-{name}", "async", "view_p99", 0.050),
        )
    ),
    _faster("objects", "ahead", 6, "one at a time"),
    _faster("objects", "ahead", 15, "stream-zip"),
    _less("objects", "ahead", "memory_rise", 16 * MIB),
    _less("objects", "ahead", "requests", 200),
    _less("objects", "response", "requests", 400),
    _less("objects", "response", "first_byte", 0.35),
    _less("objects", "response", "seconds", 1.0),
    _less("objects", "list", "requests", 400),
    _less("objects", "list", "first_byte", 0.35),
    _less("listed-objects", "list", "first_byte", 1.3, "response"),
    _less("large-object", "ahead", "memory_rise", 16 * MIB),
    _less("large-object", "response", "memory_rise", 16 * MIB),
    _less("large-object", "async response", "memory_rise", 16 * MIB),
    *(
        target
        for server in ("gunicorn", "uvicorn")
        for target in (
            _faster(f"photos-{server}", "ours", 2.0, *_SERVED_PEERS),
            _starts_sooner(f"photos-{server}", "ours", 0.3, *_SERVED_PEERS),
            _faster(f"photos-unknown-{server}", "ours", 1.5, *_SERVED_PEERS),
            _faster(f"texts-{server}", "ours", 3.0, *_SERVED_PEERS),
            _cheaper(f"logs-{server}", "ours", 5.0, "decoded"),
        )
    ),
    _faster("large-photos-gunicorn", "ours", 0.9, "plain"),
    _faster("large-photos-uvicorn", "ours", 0.85, "plain"),
    _less("cold-uvicorn", "ours", "timer_p99", 0.005),
    _cheaper("gzipped-objects", "response", 5.0, "decoded"),
    _faster("export-files", "two workers", 1.7, "one worker"),
    _faster("export-objects", "two workers", 1.7, "one worker"),
    _less("export-requests-sqlite", "request", "view_p95", 0.050),
    _less("export-requests-postgresql", "request", "view_p95", 0.050),
    *(
        _less(f"zeros-{name}", engine, "memory_rise", 32 * MIB)
        for name in ("deflated", "stored", "aes-deflated", "aes-stored")
        for engine in ("ours", "ours-async")
    ),
    _less("zeros-uvicorn", "stored", "memory_rise", 32 * MIB),
    _less("zeros-uvicorn", "deflated", "memory_rise", 32 * MIB),
)


def of(results: Results) -> list[Target]:
    """Return the targets of what was run."""
    run = {workload for workload, _ in (*results.figures, *results.reasons)}
    targets = [target for target in TARGETS if target.workload in run]
    # What was there before is as fast as it was.
    pairs = [pair for pair in results.figures if (pair[0], before(pair[1])) in results.figures]
    return targets + [_faster(*pair, _AS_FAST, before(pair[1])) for pair in pairs]


def verdicts(results: Results) -> str:
    """Return the targets of what was run, those that are missed first."""
    heads = ["", "engine", "figure", "against", "wanted", "measured", "CPU", ""]
    rows = [_row(target, results) for target in of(results)]
    order = ["missed", "no figure", "met"]
    rows.sort(key=lambda row: order.index(row[-1]))
    title = "targets"
    return "\n".join([title, "-" * len(title), *aligned([heads, *rows]), ""])


def _row(target: Target, results: Results) -> list[str]:
    value = target.measured(results)
    cpu = target.measured(results, "cpu_seconds") if target.figure == "speed" else None
    verdict = "no figure" if value is None else "met" if target.is_met(value) else "missed"
    return [
        target.workload,
        target.engine,
        target.figure,
        "best peer" if len(target.peers) > 1 else "".join(target.peers),
        f"{target.bound} {_shown(target, target.value)}",
        "" if value is None else _shown(target, value),
        "" if cpu is None else _shown(target, cpu),
        verdict,
    ]


def _shown(target: Target, value: float) -> str:
    if target.peers:
        return f"{value:.2f}" if value >= 0.1 else f"1/{1 / max(value, 1e-9):.0f}"
    if target.per_member:
        return f"{value:.0f} B"
    if target.figure == "memory_rise":
        return f"{value / MIB:.1f} MiB"
    if target.figure == "seconds":
        return f"{value:.2f} s"
    if target.figure == "requests":
        return f"{value:.0f}"
    return f"{value * 1e3:.1f} ms"
