"""The command `zip_exports`: resumes exports that stalled, and removes those that are over."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand

from django_stream_zip.exports.sweep import sweep_exports


class Command(BaseCommand):
    """Sweep: see `sweep_exports`."""

    help = (
        "Hands exports to the task engine again whose worker is gone, expires those that are too "
        "old, removes what they have left in the storage and, later, their rows. For cron, every "
        "few minutes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --dry-run."""
        parser.add_argument("--dry-run", action="store_true", help="Only say what is to be done.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep, and say what was done; each export with a verbosity of 2."""
        done: Counter[str] = Counter()
        for what, export in sweep_exports(dry_run=options["dry_run"]):
            done[what] += 1
            if options["verbosity"] >= 2 or options["dry_run"]:
                self.stdout.write(f"{what}: {export.pk} {export.filename!r}")
        if options["verbosity"] >= 1:
            summary = ", ".join(f"{number} {what}" for what, number in done.items())
            self.stdout.write(summary or "nothing to do")
