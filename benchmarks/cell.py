"""One cell of the table, in a process that does nothing else; what it measured, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.samples import Samples
from benchmarks.streaming import Streaming
from benchmarks.workloads import WORKLOADS


def main() -> None:
    workload, engine, folder = sys.argv[1:]
    job = WORKLOADS[workload]
    assert isinstance(job, Streaming)
    json.dump(job.run(engine, Samples(Path(folder))), sys.stdout)


if __name__ == "__main__":
    main()
