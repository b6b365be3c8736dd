"""Runs downloads until so many are done: `python -m tests.chaos --help`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--downloads", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=24 * 3600)
    parser.add_argument(
        "--server", choices=("gunicorn", "uvicorn", "hypercorn"), default="gunicorn"
    )
    parser.add_argument("--storage", choices=("local", "s3"), default="local")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of the only download")
    parser.add_argument("--show", type=int, default=10, help="how many bad ones are told")
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.chaos.settings"
    import django

    django.setup()
    from tests.chaos.run import run
    from tests.chaos.servers import world

    numbers = range(wanted.downloads)
    if wanted.only is not None:
        numbers = range(wanted.only, wanted.only + 1)
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        world(wanted.server, wanted.storage, Path(folder)) as there,
    ):
        tally = run(there, wanted.seed, numbers, wanted.seconds)
        print(f"{wanted.server}, {wanted.storage}, seed {wanted.seed}", *tally.lines(), sep="\n")
        print(*tally.report(there, wanted.show), sep="\n")
    return int(bool(tally.bad or tally.left))


sys.exit(main())
