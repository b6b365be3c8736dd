"""`manage.py zip_save`: write an archive to a storage, a file or standard output."""

from __future__ import annotations

import os
import posixpath
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from django.apps import apps
from django.core.exceptions import FieldError, SuspiciousOperation, ValidationError
from django.core.files.storage import FileSystemStorage, InvalidStorageError, Storage, storages
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.template.defaultfilters import filesizeformat

from django_stream_zip.management.progress import BytesLine
from django_stream_zip.members import queryset_members, storage_member
from django_stream_zip.members.files import BytesContent
from django_stream_zip.saving import (
    ArchiveChangedError,
    NameTakenError,
    UploadGoneError,
    save_zip,
)
from django_stream_zip.saving.archive import ZipSource
from django_stream_zip.saving.reader import ZipReader

_USAGE: Final = 2
_MISSING: Final = 3
_INTERRUPTED: Final = 130
_BLOCK_LENGTH: Final = 1 << 20

_ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "--to": {
        "required": True,
        "metavar": "STORAGE:NAME|FILE|-",
        "help": "An alias of STORAGES and a name, a file's path, or - for standard output.",
    },
    "--filter": {
        "action": "append",
        "default": [],
        "metavar": "LOOKUP=VALUE",
        "help": "Only rows that match, as in QuerySet.filter(); may be repeated. For __in, values "
        "are separated by commas.",
    },
    "--name": {"help": 'Names of the members, such as "{folder}/{title}{ext}".'},
    "--missing": {
        "choices": ("raise", "report"),
        "default": "raise",
        "help": "Whether a missing file is an error, or is listed in the archive.",
    },
    "--prefix": {"help": "Instead of a model: a folder of a storage."},
    "--storage": {"default": "default", "help": "Of --prefix: its alias."},
    "--overwrite": {"action": "store_true", "help": "Replace a file of that name."},
    "--workers": {"type": int, "default": 1, "help": "Threads that save parts."},
    "--resume": {
        "metavar": "FILE",
        "help": "Keep in this file where it is, and go on from there if the file is there.",
    },
    "--no-progress": {"action": "store_true", "help": "Show no progress on the terminal."},
}


class Command(BaseCommand):
    """Saves the files of a model's rows, or of a storage's folder, as one ZIP archive."""

    help = (
        "Save the files of a model's rows, or of a folder in a storage, as one ZIP archive: whole "
        "or not at all. Exit codes: 0 it is saved; 1 it is not; 2 wrong arguments; 3 it is saved, "
        "but files are missing (with --missing report); 130 interrupted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what to save, and where to."""
        parser.add_argument("model", nargs="?", metavar="app_label.Model", help="Whose files.")
        parser.add_argument("fields", nargs="*", metavar="field", help="Its file fields.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections))
        for flag, options in _ARGUMENTS.items():
            parser.add_argument(flag, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        """Save the archive.

        Raises:
            CommandError: It isn't saved, or files are missing.
        """
        target = _target(options)
        members = _found(options)
        is_wanted = options["verbosity"] > 0 and not options["no_progress"]
        line = BytesLine(options["to"], self.stderr, is_shown=is_wanted and self.stderr.isatty())
        try:
            with closing(line):
                length = target.save(members, options, line.report)
        except KeyboardInterrupt:
            raise CommandError("Interrupted: nothing is saved.", returncode=_INTERRUPTED) from None
        except NameTakenError as error:
            hint = "choose another name, or pass --overwrite"
            raise CommandError(f"not saved: there is a file {options['to']}: {hint}") from error
        except (ArchiveChangedError, UploadGoneError) as error:
            hint = f" (To begin anew, remove {options['resume']}.)" if options["resume"] else ""
            raise CommandError(f"{error}{hint}") from error
        except Exception as error:
            raise CommandError(f"not saved: {type(error).__name__}: {error}") from error
        if options["verbosity"] > 0:
            self.stderr.write(f"{options['to']}: {filesizeformat(length)}", self.style.SUCCESS)
        if _has_report(members):
            raise CommandError(
                "saved, but files are missing: the archive lists them", returncode=_MISSING
            )


class StorageTarget(NamedTuple):
    """A name in a storage."""

    storage: Storage
    name: str

    def save(
        self, members: list[Any], options: dict[str, Any], report: Callable[[int, int | None], None]
    ) -> int:
        """Save the archive, and return its length."""
        token = _TokenFile(options["resume"])
        saved = save_zip(
            self.storage,
            self.name,
            members,
            overwrite=options["overwrite"],
            workers=options["workers"],
            progress=report,
            begun=token.write if options["resume"] else None,
            resume=token.read(),
        )
        token.remove()
        return saved.length


class OutputTarget:
    """Standard output. What comes out before an error has no directory: no reader opens it."""

    def save(
        self, members: list[Any], options: dict[str, Any], report: Callable[[int, int | None], None]
    ) -> int:
        """Write the archive, and return its length."""
        with closing(ZipReader(ZipSource(members), report)) as reader:
            shutil.copyfileobj(reader, sys.stdout.buffer, _BLOCK_LENGTH)
            sys.stdout.buffer.flush()
            return reader.reached


class _TokenFile:
    """Where the token of an upload is kept; nowhere if there is no path."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None

    def read(self) -> str | None:
        return self._path.read_text() if self._path and self._path.exists() else None

    def write(self, token: str) -> None:
        if self._path is not None:
            new = self._path.with_name(f"{self._path.name}.new")
            new.write_text(token)
            new.replace(self._path)

    def remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _target(options: dict[str, Any]) -> StorageTarget | OutputTarget:
    """Return where an archive goes. What looks like an alias has to be one."""
    to = options["to"]
    if options["workers"] < 1:
        _refuse("--workers is 1 or more")
    if to == "-":
        if options["resume"] is not None:
            _refuse("standard output can't be resumed: --resume is for storages and files")
        if sys.stdout.isatty():
            _refuse("an archive is not for a terminal: redirect the output")
        return OutputTarget()
    alias, colon, name = to.partition(":")
    if colon and not set(alias) & {"/", os.sep}:
        return StorageTarget(_storage(alias), name)
    path = Path(to).absolute()
    return StorageTarget(FileSystemStorage(path.parent), path.name)


def _storage(alias: str) -> Storage:
    try:
        return storages[alias]
    except InvalidStorageError as error:
        _refuse(f"{error} (A file whose name has a colon is written as ./{alias}:…)")


def _found(options: dict[str, Any]) -> list[Any]:
    """Return the members that the arguments name."""
    is_model, is_folder = bool(options["model"]), options["prefix"] is not None
    if is_model == is_folder:
        _refuse("name either a model or a --prefix")
    try:
        return _in_folder(options) if is_folder else _of_rows(options)
    except CommandError:
        raise
    except (LookupError, ValueError, FieldError, ValidationError, SuspiciousOperation) as error:
        _refuse(str(error))
    except Exception as error:
        raise CommandError(f"not saved: {type(error).__name__}: {error}") from error


def _in_folder(options: dict[str, Any]) -> list[Any]:
    """Return the members of a storage's folder."""
    storage, prefix = _storage(options["storage"]), options["prefix"].rstrip("/")
    return [
        storage_member(storage, stored, name=stored.removeprefix(prefix).lstrip("/"))
        for stored in _files(storage, prefix)
    ]


def _of_rows(options: dict[str, Any]) -> list[Any]:
    """Return the members of a model's rows."""
    queryset = apps.get_model(options["model"])._default_manager.using(options["database"])
    rows = queryset.filter(**dict(map(_lookup, options["filter"])))
    return queryset_members(
        rows, *options["fields"], name=options["name"], missing=options["missing"]
    )


def _lookup(text: str) -> tuple[str, Any]:
    """Return a filter's lookup and value."""
    lookup, sign, value = text.partition("=")
    if not sign:
        _refuse(f"--filter is LOOKUP=VALUE, not {text!r}")
    convert = _VALUES.get(lookup.rpartition("__")[2], str)
    return lookup, convert(value)


_VALUES: Final[dict[str, Callable[[str], Any]]] = {
    "in": lambda value: value.split(","),
    "range": lambda value: value.split(","),
    "isnull": lambda value: value.lower() in {"true", "1", "yes"},
}


def _files(storage: Storage, folder: str) -> Iterator[str]:
    """Yield the names of all files of a folder and of those in it, in their order."""
    folders, files = storage.listdir(folder)
    for name in sorted(files):
        if name:  # of some object stores, the folder itself
            yield posixpath.join(folder, name)
    for name in sorted(folders):
        if name:
            yield from _files(storage, posixpath.join(folder, name))


def _has_report(members: list[Any]) -> bool:
    """Return whether the last member is the list of missing files: the only one that isn't one."""
    return bool(members) and isinstance(members[-1][4], BytesContent)


def _refuse(message: str) -> NoReturn:
    raise CommandError(message, returncode=_USAGE)
