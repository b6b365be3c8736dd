"""`manage.py zip_metadata`: fill the metadata of files into existing rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model
from django.db.utils import OperationalError, ProgrammingError

from django_stream_zip.management.backfill import Backfill, Outcome
from django_stream_zip.management.progress import ProgressLine
from django_stream_zip.metadata.tracking import file_fields

# So many failures are listed; all are counted.
_MAX_LISTED: Final = 100


class Command(BaseCommand):
    """Fills the metadata that is missing. After it was stopped, run it again to continue."""

    help = (
        "Fill size, CRC-32, modification time and validator of files into rows that were saved "
        "before these columns existed. Run it again to continue after it was stopped, or to retry "
        "failures."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add which rows to fill, and how much to report."""
        parser.add_argument("models", nargs="*", metavar="app_label.Model", help="All if none.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections))
        parser.add_argument(
            "--all",
            action="store_true",
            dest="refill",
            help="Fill also what is already filled.",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Count the files; read and fill nothing.",
        )
        parser.add_argument(
            "--no-progress", action="store_true", help="Show no progress on the terminal."
        )

    def handle(self, *labels: Any, **options: Any) -> None:
        """Fill one model after the other.

        Raises:
            CommandError: A file couldn't be read, or an argument is wrong.
        """
        models = [_model(label) for label in options["models"]] or list(_models())
        if not models:
            raise CommandError("no model has columns for file metadata: see ZipMetadataModel")
        fillings = [
            Backfill(model, field, options["database"], refill=options["refill"])
            for model in models
            for field in file_fields(model)
        ]
        failures = _Failures()
        try:
            for filling in fillings:
                self._fill(filling, failures, options)
        except (OperationalError, ProgrammingError) as error:
            raise CommandError(f"{error}: is a migration missing?") from error
        except KeyboardInterrupt:
            message = "Stopped. What is filled stays; run it again to continue."
            raise CommandError(message, returncode=130) from None
        if failures.count:
            raise CommandError(str(failures))

    def _fill(self, filling: Backfill, failures: _Failures, options: dict[str, Any]) -> None:
        total = len(filling)
        if options["dry_run"]:
            self._say(f"{filling.label}: {total:,} to fill", options)
            return
        is_wanted = options["verbosity"] > 0 and not options["no_progress"]
        is_shown = is_wanted and self.stdout.isatty()
        line = ProgressLine(filling.label, total, self.stdout, is_shown=is_shown)
        counts = {"filled": 0, "changed meanwhile": 0, "failed": 0}
        try:
            for outcome in filling.run(line.add_bytes):
                counts[_kind(outcome)] += 1
                failures.add(filling.label, outcome)
                line.add_file()
        finally:
            line.close()
            parts = [f"{n:,} {kind}" for kind, n in counts.items() if n or kind == "filled"]
            self._say(f"{filling.label}: {', '.join(parts)}", options)

    def _say(self, text: str, options: dict[str, Any]) -> None:
        if options["verbosity"] > 0:
            self.stdout.write(text)


def _kind(outcome: Outcome) -> str:
    if outcome.error is not None:
        return "failed"
    return "filled" if outcome.is_filled else "changed meanwhile"


class _Failures:
    """The files that couldn't be read: how many, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self._listed: list[str] = []

    def add(self, label: str, outcome: Outcome) -> None:
        """Record an outcome, if it is a failure."""
        if outcome.error is None:
            return
        self.count += 1
        if len(self._listed) < _MAX_LISTED:
            is_missing = isinstance(outcome.error, FileNotFoundError)
            reason = "not found" if is_missing else repr(outcome.error)
            self._listed.append(f"{label} of {outcome.pk}: {outcome.stored_name}: {reason}")

    def __str__(self) -> str:
        """List them."""
        more = self.count - len(self._listed)
        lines = [f"{self.count:,} files could not be read:", *self._listed]
        return "\n  ".join([*lines, f"and {more:,} more"] if more else lines)


def _model(label: str) -> type[Model]:
    try:
        model = apps.get_model(label)
    except ValueError:
        raise CommandError(f"{label!r} is not a model: write app_label.Model") from None
    except LookupError as error:
        raise CommandError(f"{label!r} is not a model: {error}") from error
    if not file_fields(model):
        raise CommandError(f"{label} has no columns for file metadata: see ZipMetadataModel")
    return model


def _models() -> Iterator[type[Model]]:
    """Return the models that have columns for metadata in their own table."""
    return filter(_has_columns, apps.get_models())


def _has_columns(model: type[Model]) -> bool:
    return any(field.model is model for field in file_fields(model))
