"""The command: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import checkouts, export, page, report, rounds, targets, versions
from benchmarks.results import Results
from benchmarks.samples import Samples
from benchmarks.workload import Workload
from benchmarks.workloads import WORKLOADS


def main() -> None:
    """Run the workloads that were asked for, and tell what came out."""
    arguments = _arguments()
    if arguments.list:
        lines = [[job.title, job.name, job.group] for job in WORKLOADS.values()]
        print("\n".join(report.aligned(lines)))
        return
    workloads = rounds.chosen(WORKLOADS.values(), arguments.only, arguments.engines)
    # As an interrupt does: what was started is ended, what was written is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    environment = versions.environment()
    parts = [
        "  ".join(f"{name} {value or 'missing'}" for name, value in environment.items()) + "\n"
    ]
    print(parts[0])
    results = Results()
    with tempfile.TemporaryDirectory(prefix="django_stream_zip-benchmarks-") as folder:
        if arguments.against:
            checkouts.link(arguments.against, Path(folder))
            workloads = [checkouts.compared(workload) for workload in workloads]
        for workload in workloads:
            rounds.run(workload, arguments.rounds, Samples(Path(folder)), results)
            parts.append(report.table(workload, results))
            print(parts[-1], flush=True)
    if arguments.against:
        parts.append(report.before_and_after(workloads, results))
        print(parts[-1])
    parts.append(targets.verdicts(results))
    print(parts[-1])
    if arguments.page:
        page.write(arguments.page, parts)
    if arguments.json:
        export.write(arguments.json, environment, workloads, results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        default=[],
        choices=[*WORKLOADS, *_groups(WORKLOADS)],
        help=f"workloads, or groups of them: {', '.join(_groups(WORKLOADS))}",
    )
    parser.add_argument(
        "--engines",
        nargs="+",
        metavar="NAME",
        default=[],
        choices=sorted({engine for job in WORKLOADS.values() for engine in job.engines}),
        help="engines by name",
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run (3)")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="run the package of an older checkout, too, as engines named …-before",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write all tables there")
    parser.add_argument("--list", action="store_true", help="say what there is, and end")
    return parser.parse_args()


def _groups(workloads: dict[str, Workload]) -> list[str]:
    return sorted({job.group for job in workloads.values()})


if __name__ == "__main__":
    main()
