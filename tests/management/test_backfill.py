"""`manage.py zip_metadata`: fills the facts of rows that are there already, and can be stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.test.utils import CaptureQueriesContext

from django_stream_zip.management.backfill import stored_metadata
from django_stream_zip.members import queryset_members
from django_stream_zip.members.readers import Metadata, Reader, register_reader
from django_stream_zip.members.readers.generic import GenericReader
from django_stream_zip.members.readers.reader import derived_validator
from tests.models import Book, Film, Novel, Paperback
from tests.support.counting import TIME, CountingStorage

pytestmark = pytest.mark.django_db

KNOWN_TIME = datetime(2020, 1, 31, tzinfo=UTC)


class WatchedStorage(CountingStorage):
    """Has every file that isn't said to be missing, and tells who opens one."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Callable[[str], object] = str

    def _content(self, call: str, name: str) -> bytes:
        if call == "open":
            self.opened(name)
        return super()._content(call, name)


class Terminal(StringIO):
    """Keeps what is written to it, as a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def storage(settings: Any) -> WatchedStorage:
    """Return the storage of all file fields."""
    backend = {"BACKEND": f"{__name__}.WatchedStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    return cast(WatchedStorage, storages["default"])


def make(storage: WatchedStorage, *names: str, model: Any = Book) -> list[Any]:
    """Make rows that name a file and hold no facts."""
    storage.files |= {name: name.encode() for name in names}
    return [model.objects.create(file=name) for name in names]


def filled(*names: str) -> list[tuple[Any, ...]]:
    """Return the facts of such files."""
    return [(len(name), zlib.crc32(name.encode()), TIME) for name in names]


def held() -> list[tuple[Any, ...]]:
    """Return the facts as the database has them."""
    columns = ("zip_size", "zip_crc_32", "zip_modified_at")
    return list(Book.objects.order_by("pk").values_list(*columns))


UNKNOWN = (None, None, None)


def run(*arguments: str, out: StringIO | None = None) -> str:
    out = out or StringIO()
    call_command("zip_metadata", *arguments, stdout=out)
    return out.getvalue()


def test_rows_without_facts_are_filled_and_asked_nothing_more(storage: WatchedStorage) -> None:
    make(storage, "a.pdf", "bc.pdf")
    Book.objects.create(file="")
    assert run("tests.Book") == "tests.Book.file: 2 filled\n"
    assert held() == [*filled("a.pdf", "bc.pdf"), UNKNOWN]
    storage.calls.clear()
    queryset_members(Book.objects.all())
    assert storage.calls == []


def test_what_is_filled_is_not_read_again(storage: WatchedStorage) -> None:
    make(storage, "a.pdf")
    run("tests.Book")
    storage.calls.clear()
    assert run("tests.Book") == "tests.Book.file: 0 filled\n"
    assert storage.calls == []


@pytest.mark.parametrize("column", ["zip_size", "zip_crc_32", "zip_modified_at", "zip_validator"])
def test_a_row_of_which_one_fact_is_missing_is_filled(storage: WatchedStorage, column: str) -> None:
    make(storage, "a.pdf")
    run("tests.Book")
    Book.objects.update(**{column: None})
    run("tests.Book")
    assert held() == filled("a.pdf")


def test_all_are_filled_again_if_wanted(storage: WatchedStorage) -> None:
    make(storage, "a.pdf")
    Book.objects.update(zip_size=1, zip_crc_32=2, zip_modified_at=KNOWN_TIME)
    assert run("tests.Book", "--all") == "tests.Book.file: 1 filled\n"
    assert held() == filled("a.pdf")


def test_a_dry_run_only_counts(storage: WatchedStorage) -> None:
    make(storage, "a.pdf", "b.pdf")
    known = {"zip_size": 1, "zip_crc_32": 2, "zip_modified_at": TIME, "zip_validator": ""}
    Book.objects.filter(file="b.pdf").update(**known)
    assert run("tests.Book", "--dry-run") == "tests.Book.file: 1 to fill\n"
    assert run("tests.Book", "--dry-run", "--all") == "tests.Book.file: 2 to fill\n"
    assert held()[0] == UNKNOWN
    assert storage.calls == []


# Stopped, and gone on.


def test_who_stops_it_can_go_on(storage: WatchedStorage) -> None:
    names = [f"{n}.pdf" for n in range(5)]
    make(storage, *names)

    def opened(name: str) -> None:
        if name == "3.pdf":
            raise KeyboardInterrupt

    storage.opened = opened
    out = StringIO()
    with pytest.raises(CommandError, match="run it again") as stopped:
        run("tests.Book", out=out)
    assert stopped.value.returncode == 130
    assert out.getvalue() == "tests.Book.file: 3 filled\n"
    assert held() == [*filled(*names[:3]), UNKNOWN, UNKNOWN]

    read: list[str] = []
    storage.opened = read.append
    run("tests.Book")
    assert read == names[3:]
    assert held() == filled(*names)


def test_a_file_that_is_replaced_meanwhile_gets_no_facts_of_the_old_one(
    storage: WatchedStorage,
) -> None:
    make(storage, "a.pdf", "b.pdf")
    storage.opened = lambda name: Book.objects.filter(file="a.pdf").update(file="new.pdf")
    assert run("tests.Book") == "tests.Book.file: 1 filled, 1 changed meanwhile\n"
    assert held() == [UNKNOWN, *filled("b.pdf")]


@pytest.mark.parametrize("arguments", [(), ("--all",)])
def test_a_file_that_is_uploaded_meanwhile_under_its_old_name_keeps_its_facts(
    storage: WatchedStorage, arguments: tuple[str, ...]
) -> None:
    make(storage, "a.pdf")
    new = {"zip_size": 7, "zip_crc_32": 8, "zip_modified_at": KNOWN_TIME}
    storage.opened = lambda name: Book.objects.update(**new)
    assert run("tests.Book", *arguments) == "tests.Book.file: 0 filled, 1 changed meanwhile\n"
    assert held() == [(7, 8, KNOWN_TIME)]


# The storage's own validator.


def validators() -> list[str | None]:
    return list(Book.objects.order_by("pk").values_list("zip_validator", flat=True))


def test_the_validator_is_that_of_the_bytes_that_were_read(storage: WatchedStorage) -> None:
    make(storage, "a.pdf")
    run("tests.Book")
    assert validators() == [derived_validator(5, TIME)]


def test_a_file_that_is_overwritten_after_it_was_read_fails(
    storage: WatchedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(storage, "a.pdf")
    states = iter(["one", "two"])

    def described(*args: Any) -> Metadata:
        return Metadata(5, modified_at=TIME, validator=next(states))

    monkeypatch.setattr(GenericReader, "describe", described)
    with pytest.raises(CommandError, match="overwritten while it was read"):
        run("tests.Book")
    assert (held(), validators()) == ([UNKNOWN], [None])


@pytest.mark.parametrize("validator", [None, "x" * 256], ids=["none", "too long"])
def test_a_file_without_a_validator_that_can_be_kept_is_filled_once(
    storage: WatchedStorage, monkeypatch: pytest.MonkeyPatch, validator: str | None
) -> None:
    make(storage, "a.pdf")
    monkeypatch.setattr(
        GenericReader, "describe", lambda *args: Metadata(5, modified_at=TIME, validator=validator)
    )
    run("tests.Book")
    assert (held(), validators()) == (filled("a.pdf"), [""])
    assert run("tests.Book") == "tests.Book.file: 0 filled\n"
    [member] = queryset_members(Book.objects.all())
    assert b"".join(member[4].chunks()) == b"a.pdf"


# Files that can't be read.


def test_missing_files_are_told_and_the_others_filled(storage: WatchedStorage) -> None:
    [_, b, c, _] = make(storage, "a.pdf", "b.pdf", "c.pdf", "d.pdf")
    del storage.files["b.pdf"]
    storage.errors["c.pdf"] = PermissionError(13, "Permission denied")
    out = StringIO()
    with pytest.raises(CommandError) as failed:
        run("tests.Book", out=out)
    assert failed.value.returncode == 1
    assert str(failed.value).splitlines() == [
        "2 files could not be read:",
        f"  tests.Book.file of {b.pk}: b.pdf: not found",
        f"  tests.Book.file of {c.pk}: c.pdf: PermissionError(13, 'Permission denied')",
    ]
    assert out.getvalue() == "tests.Book.file: 2 filled, 2 failed\n"
    assert held() == [*filled("a.pdf"), UNKNOWN, UNKNOWN, *filled("d.pdf")]
    storage.files["b.pdf"] = b"b.pdf"
    del storage.errors["c.pdf"]
    assert run("tests.Book") == "tests.Book.file: 2 filled\n"


def test_of_very_many_failures_the_first_are_told(storage: WatchedStorage) -> None:
    Book.objects.bulk_create(Book(file=f"{n}.pdf") for n in range(1234))
    with pytest.raises(CommandError) as failed:
        run("tests.Book")
    lines = str(failed.value).splitlines()
    assert lines[0] == "1,234 files could not be read:"
    assert lines[-1] == "  and 1,134 more"
    assert len(lines) == 102


class LyingReader(Reader):
    """Tells a size that isn't the content's, or none."""

    told: int | None = 9

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        return Metadata(self.told)

    def chunks(self, start: int = 0, stop: int | None = None) -> Any:
        yield b"four"


class KnowingReader(LyingReader):
    """Knows all and can't be read."""

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        return Metadata(4, 77, TIME, "validator")

    def chunks(self, start: int = 0, stop: int | None = None) -> Any:
        raise AssertionError("it was read")


@pytest.fixture
def reader(request: Any) -> Any:
    """Have a reader read WatchedStorage until the test ends."""
    from django_stream_zip.members.readers import table

    register_reader(WatchedStorage, request.param)
    yield request.param
    del table._READERS[f"{__name__}.WatchedStorage"]


@pytest.mark.parametrize("reader", [KnowingReader], indirect=True)
def test_what_the_storage_knows_is_not_read(storage: WatchedStorage, reader: Any) -> None:
    make(storage, "a.pdf")
    run("tests.Book")
    assert held() == [(4, 77, TIME)]


@pytest.mark.parametrize("reader", [LyingReader], indirect=True)
def test_a_file_of_another_size_than_was_told_fails(
    storage: WatchedStorage, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(storage, "a.pdf")
    with pytest.raises(CommandError, match="it has 4 bytes, where 9 were declared"):
        run("tests.Book")
    assert held() == [UNKNOWN]
    monkeypatch.setattr(LyingReader, "told", None)
    run("tests.Book")
    [(size, crc_32, at)] = held()
    assert (size, crc_32) == (4, zlib.crc32(b"four"))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60


def test_nothing_is_read_for_a_crc_32_that_nobody_wants(storage: WatchedStorage) -> None:
    storage.files["a.pdf"] = b"four"
    read: list[int] = []
    values = stored_metadata(storage, "a.pdf", ["size"], read.append)
    assert (values["size"], read) == (4, [])
    assert {call for call, _ in storage.calls} == {"size", "get_modified_time"}


@pytest.mark.parametrize("use_tz", [True, False])
def test_times_are_as_the_site_s_are(storage: WatchedStorage, settings: Any, use_tz: bool) -> None:
    settings.USE_TZ = use_tz
    storage.files["a.pdf"] = b"four"
    values = stored_metadata(storage, "a.pdf", ["size"], print)
    assert values["modified_at"] == (TIME if use_tz else TIME.replace(tzinfo=None))
    make(storage, "b.pdf")
    run("tests.Book")
    assert Book.objects.get().zip_modified_at == values["modified_at"]


# Which models.


def test_without_a_name_all_models_that_keep_facts_are_filled(storage: WatchedStorage) -> None:
    make(storage, "a.pdf")
    storage.files |= {"p.jpg": b"poster", "t.mp4": b"trailer", "s.txt": b"script"}
    film = Film.objects.create(poster="p.jpg", trailer="t.mp4", script="s.txt")
    assert run().splitlines() == [
        "tests.Book.file: 1 filled",
        "tests.Chapter.text: 0 filled",
        "tests.Film.poster: 1 filled",
        "tests.Film.trailer: 1 filled",
        "tests.Letter.file: 0 filled",
    ]
    film.refresh_from_db()
    assert (film.poster_bytes, film.poster_crc_32) == (6, zlib.crc32(b"poster"))
    assert (film.trailer_bytes, film.trailer_crc_32) == (7, zlib.crc32(b"trailer"))
    assert film.poster_at == TIME


def test_a_child_has_its_own_rows_filled_and_a_proxy_all(storage: WatchedStorage) -> None:
    make(storage, "a.pdf")
    make(storage, "n.pdf", model=Novel)
    assert run("tests.Novel") == "tests.Novel.file: 1 filled\n"
    assert held() == [UNKNOWN, *filled("n.pdf")]
    assert run(Paperback._meta.label) == "tests.Paperback.file: 1 filled\n"
    assert held() == filled("a.pdf", "n.pdf")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("tests.Nope", "'tests.Nope' is not a model"),
        ("nope.Book", "'nope.Book' is not a model"),
        ("Book", "'Book' is not a model"),
        (
            "tests.Document",
            "tests.Document has no columns for file metadata: see ZipMetadataModel",
        ),
    ],
)
def test_a_model_that_cannot_be_filled_is_told(label: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run("tests.Book", label)


def test_a_database_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'nope'"):
        run("tests.Book", "--database=nope")


# Very many rows.


def test_queries_are_one_for_a_row_and_few_for_a_page(storage: WatchedStorage) -> None:
    from django.db import connection

    names = [f"{n}.pdf" for n in range(2500)]
    storage.files |= {name: name.encode() for name in names}
    Book.objects.bulk_create(Book(file=name) for name in names)
    with CaptureQueriesContext(connection) as queries:
        run("tests.Book")
    assert held() == filled(*names)
    updates = [query for query in queries if query["sql"].startswith("UPDATE")]
    assert len(updates) == 2500
    assert len(queries) - len(updates) == 1 + 4  # to count, three pages, and one that is empty


@pytest.mark.parametrize("reader", [KnowingReader], indirect=True)
def test_memory_does_not_grow_with_a_file(storage: WatchedStorage, reader: Any) -> None:
    class Endless(KnowingReader):
        def describe(
            self, size: int | None = None, modified_at: datetime | None = None
        ) -> Metadata:
            return Metadata(modified_at=TIME)

        def chunks(self, start: int = 0, stop: int | None = None) -> Any:
            for _ in range(200):
                yield bytes(1 << 20)

    register_reader(WatchedStorage, Endless)
    make(storage, "a.pdf")
    tracemalloc.start()
    run("tests.Book")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held()[0][0] == 200 << 20
    assert peak < 8 << 20


# What is shown.


def test_a_terminal_shows_how_far_it_is(storage: WatchedStorage) -> None:
    make(storage, "a.pdf", "b.pdf")
    [line, *_, summary] = run("tests.Book", out=Terminal()).split("\r")[1:]
    assert line == "tests.Book.file [....................]   0% 0 of 2 files, 5\xa0bytes read"
    assert summary == "tests.Book.file: 2 filled\n"


def test_the_line_is_written_over_and_wiped_off(
    storage: WatchedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_stream_zip.management.progress._PAUSE", 0)
    make(storage, "a.pdf", "b.pdf")
    [*lines, wiped, summary] = run("tests.Book", out=Terminal()).split("\r")[1:]
    assert [line.removeprefix("tests.Book.file ") for line in lines] == [
        "[....................]   0% 0 of 2 files, 5\xa0bytes read",
        "[##########..........]  50% 1 of 2 files, 5\xa0bytes read",
        "[##########..........]  50% 1 of 2 files, 10\xa0bytes read",
        "[####################] 100% 2 of 2 files, 10\xa0bytes read",
    ]
    assert wiped == " " * len(lines[-1])
    assert summary == "tests.Book.file: 2 filled\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--no-progress"], "tests.Book.file: 1 filled\n"),
        (["--verbosity=0"], ""),
    ],
)
def test_a_terminal_shows_no_more_than_is_wanted(
    storage: WatchedStorage, arguments: list[str], expected: str
) -> None:
    make(storage, "a.pdf")
    assert run("tests.Book", *arguments, out=Terminal()) == expected


def test_the_program_says_by_its_exit_code_that_files_are_missing(tmp_path: Path) -> None:
    script = """
import django, sys
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
django.setup()
call_command("migrate", run_syncdb=True, verbosity=0)
from tests.models import Book
Book.objects.create(file="gone.pdf")
execute_from_command_line(["manage.py", "zip_metadata", "tests.Book"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == "tests.Book.file: 0 filled, 1 failed\n"
    assert "tests.Book.file of 1: gone.pdf: not found" in done.stderr
