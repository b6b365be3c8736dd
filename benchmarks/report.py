"""The figures as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from benchmarks.checkouts import before
from benchmarks.results import Results
from benchmarks.workload import Workload

PEERS = (
    "stream-zip",
    "stream-zip-async",
    "zipstream-ng",
    "zipfile",
    "plain",
    "floor",
    "ours",
    "one at a time",
    "one worker",
)

Cell = Callable[[Results, str, str], str]


def table(workload: Workload, results: Results) -> str:
    """Return a workload's table: an engine a row, medians of the rounds, ratios to its peers."""
    columns = _columns(workload)
    rows = [
        [engine, *(cell(results, workload.name, engine) for cell in columns.values())]
        for engine in workload.engines
    ]
    filled = [n for n in range(1, len(columns) + 1) if any(row[n] != "" for row in rows)]
    heads = ["", *columns]
    lines = [[row[n] for n in (0, *filled)] for row in (heads, *rows)]
    notes = [
        f"  {engine}: {reason}"
        for (name, engine), reason in results.reasons.items()
        if name == workload.name
    ]
    title = f"{workload.name}: {workload.title}"
    return "\n".join([title, "-" * len(title), *aligned(lines), *notes, ""])


def before_and_after(workloads: Iterable[Workload], results: Results) -> str:
    """Return a table of what has changed since the older checkout, each figure as a ratio.

    Of times the ratio is turned round: 2.00 is twice as fast.
    """
    heads = ["", "engine", "x before", "x before (CPU)", "1st byte x", "memory", "archive"]
    rows = [
        [workload.name, engine, *_changes(results, workload.name, engine)]
        for workload in workloads
        for engine in workload.engines
        if before(engine) in workload.engines
    ]
    title = "before and after"
    return "\n".join([title, "-" * len(title), *aligned([heads, *rows]), ""])


def _changes(results: Results, workload: str, engine: str) -> Iterator[str]:
    for figure in ("seconds", "cpu_seconds", "first_byte"):
        yield _shown(results.times_as_fast(workload, engine, before(engine), figure))
    for figure in ("memory_rise", "archive_bytes"):
        yield _shown(results.ratio(workload, engine, before(engine), figure))


def _shown(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def aligned(lines: list[list[str]]) -> list[str]:
    """Return lines of cells as text, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _columns(workload: Workload) -> dict[str, Cell]:
    columns: dict[str, Cell] = {
        "s": _median("seconds", 1, 3),
        "CPU s": _median("cpu_seconds", 1, 3),
        "MB/s": _per_second,
        "us/member": _per_member("seconds", 1e-6),
        "CPU us": _per_member("cpu_seconds", 1e-6),
        "archive MB": _median("archive_bytes", 1e6, 2),
        "+RSS MiB": _median("memory_rise", 1 << 20, 1),
        "RSS B/member": _per_member("memory_rise", 1),
        "traced B/member": _median("traced", 1, 1),
        "1st byte ms": _median("first_byte", 1e-3, 1),
        "requests": _median("requests", 1, 0),
    }
    for what in ("timer", "view"):
        for quantile in ("p50", "p95", "p99", "max"):
            columns[f"{what} {quantile} ms"] = _median(f"{what}_{quantile}", 1e-3, 1)
    for peer in PEERS:
        if peer in workload.engines:
            columns[f"x {peer} (CPU)"] = _speed(peer)
    return columns


def _median(figure: str, unit: float, digits: int) -> Cell:
    def cell(results: Results, workload: str, engine: str) -> str:
        value = results.median(workload, engine, figure)
        return "" if value is None else f"{value / unit:,.{digits}f}"

    return cell


def _per_member(figure: str, unit: float) -> Cell:
    def cell(results: Results, workload: str, engine: str) -> str:
        value = results.median(workload, engine, figure)
        members = results.median(workload, engine, "members") or 0
        return "" if value is None or members < 1000 else f"{value / members / unit:,.1f}"

    return cell


def _per_second(results: Results, workload: str, engine: str) -> str:
    seconds = results.median(workload, engine, "seconds")
    content = results.median(workload, engine, "content_bytes")
    return "" if not seconds or not content else f"{content / 1e6 / seconds:,.0f}"


def _speed(peer: str) -> Cell:
    def cell(results: Results, workload: str, engine: str) -> str:
        speed = results.times_as_fast(workload, engine, peer, "seconds")
        cpu = results.times_as_fast(workload, engine, peer, "cpu_seconds")
        if speed is None or engine == peer:
            return ""
        return f"{speed:.2f}" if cpu is None else f"{speed:.2f} ({cpu:.2f})"

    return cell
