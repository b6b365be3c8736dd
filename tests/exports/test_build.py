"""Building: whole and equal to what is streamed, or not there at all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from django_stream_zip.exports import (
    State,
    ZipExport,
    build,
    build_export,
    build_parts,
    problems,
    registry,
    run_task,
    sweep_exports,
)
from django_stream_zip.exports.finishing import cancel
from django_stream_zip.exports.models import ZipExportPart
from django_stream_zip.exports.progress import Reports
from django_stream_zip.exports.registry import Recipe
from django_stream_zip.exports.signals import zip_export_failed, zip_export_ready
from django_stream_zip.saving.writers.local import LocalFolder
from tests.models import Document
from tests.support import exports as support
from tests.support.counting import CountingStorage
from tests.support.exports import again, requested, run_all, run_in_threads

pytestmark = pytest.mark.django_db(transaction=True)

SIZES = [5000, 0, 1, 4000]


@pytest.fixture
def sent() -> Iterator[list[tuple[str, Any]]]:
    """Collect the signals: how an export ended, and the row with which it was said."""
    found: list[tuple[str, Any]] = []

    def ready(export: Any, **kwargs: Any) -> None:
        found.append(("ready", export))

    def failed(export: Any, **kwargs: Any) -> None:
        found.append(("failed", export))

    zip_export_ready.connect(ready)
    zip_export_failed.connect(failed)
    yield found
    zip_export_ready.disconnect(ready)
    zip_export_failed.disconnect(failed)


def stall(**changes: Any) -> None:
    """Have all exports look as if their workers had been killed long ago."""
    long_ago = timezone.now() - timedelta(hours=1)
    ZipExport.objects.update(heartbeat=long_ago, enqueued=long_ago, **changes)


# What is built.


@pytest.mark.parametrize("run", [run_all, run_in_threads])
def test_an_archive_in_parts_is_what_is_streamed(
    run: Any, root: Path, storage: CountingStorage, sent: list[Any]
) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested()
    assert support.queue.popleft() == ("build_export", str(export.pk))
    build_export(str(export.pk))
    assert [task[0] for task in support.queue] == ["build_parts"] * 9
    assert again(export).state == State.BUILDING
    run()
    ready = again(export)
    assert ready.state == State.READY
    assert support.stored(ready, root) == support.streamed(export)
    assert (ready.members, ready.bytes_done, ready.fraction) == (4, ready.length, 1.0)
    assert support.files_in(root) == [ready.file]
    assert [(how, row.pk) for how, row in sent] == [("ready", export.pk)]


def test_an_archive_of_unknown_length_is_built_by_one(
    root: Path, storage: CountingStorage, sent: list[Any]
) -> None:
    support.make_documents(storage, "a", SIZES)
    Document.objects.create(title="agone", file="nowhere.txt")
    export = requested("texts")
    assert run_all() == 1
    ready = again(export)
    assert (ready.state, ready.missing) == (State.READY, 1)
    data = support.stored(ready, root)
    assert ready.length == ready.bytes_done == len(data)
    with ZipFile(root / ready.file) as archive:
        assert archive.read("a0.txt") == support.content_of("a0", 5000)
        assert "MISSING.txt" in archive.namelist()
    assert support.files_in(root) == [ready.file]


def test_reports_and_signals_are_in_the_language_of_the_request(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", SIZES)
    Document.objects.create(title="agone", file="nowhere.txt")
    seen: list[Any] = []

    def ready(**kwargs: Any) -> None:
        seen.append(translation.get_language())

    zip_export_ready.connect(ready)
    with translation.override("de"):
        export = requested("texts")
    run_all()
    with ZipFile(root / again(export).file) as archive:
        assert b"konnten nicht" in archive.read("MISSING.txt")
    assert seen == ["de"]


def test_a_storage_without_parts_gets_it_too(
    root: Path, storage: CountingStorage, settings: Any
) -> None:
    backend = "tests.support.exports.PlainStorage"
    options = {"OPTIONS": {"location": str(root)}}
    settings.STORAGES = {**settings.STORAGES, "exports": {"BACKEND": backend, **options}}
    support.make_documents(storages["default"], "a", SIZES)
    export = requested()
    run_all()
    assert support.stored(again(export), root) == support.streamed(export)
    # Its file may be half of what was written when somebody was killed: it isn't trusted.
    ZipExport.objects.update(state=State.BUILDING)
    stall()
    (root / again(export).file).write_bytes(b"PK, and no more")
    build_export(str(export.pk))
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)


def test_an_engine_may_run_tasks_at_once(
    root: Path, storage: CountingStorage, settings: Any
) -> None:
    support.make_documents(storage, "a", SIZES)
    settings.DJANGO_STREAM_ZIP = {
        **settings.DJANGO_STREAM_ZIP,
        "ENQUEUE": "django_stream_zip.exports.run_task",
    }
    export = requested()
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)


# Any number of times, at once, killed anywhere.


def test_tasks_may_come_twice_and_in_any_order(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested()
    run_task(*support.queue.popleft())
    tasks = [*support.queue] * 2
    tasks += [("build_export", str(export.pk))] * 2
    random.shuffle(tasks)
    support.queue.clear()
    support.queue.extend(tasks)
    run_in_threads()
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)
    build_export(str(export.pk))
    build_parts(str(export.pk), 1, 3)
    assert support.files_in(root) == [again(export).file]


class Killed(BaseException):
    """What is raised in place of a signal that kills."""


@pytest.mark.parametrize("trial", range(12))
def test_whoever_goes_on_after_a_kill_ends_with_the_same(
    trial: int, root: Path, storage: CountingStorage, sent: list[Any]
) -> None:
    """Every statement that changes a row, and every change of a file, may be a worker's last."""
    support.make_documents(storage, "a", SIZES)
    export = requested()
    chances = random.Random(trial)
    for _ in range(4):
        with killing(chances.randrange(1, 30)):
            run_all()
        support.queue.clear()
        stall(attempts=0)
        ZipExport.objects.filter(state=State.READY).update(heartbeat=None)
        support.queue.append(("build_export", str(export.pk)))
    run_all()
    ready = again(export)
    assert ready.state == State.READY
    assert support.stored(ready, root) == support.streamed(export)
    ZipExport.objects.update(ready=timezone.now() - timedelta(hours=1))
    list(sweep_exports())
    assert [how for how, _ in sent] == ["ready"]


class killing:  # reads like a function
    """Raise Killed at the nth statement or change of a file."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.chances = random.Random(number)

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def execute(self, execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE"):
            if self.chances.random() < 0.5:
                self.step()
                return execute(sql, *rest)
            result = execute(sql, *rest)
            self.step()
            return result
        return execute(sql, *rest)

    def __enter__(self) -> None:
        self.patches = [
            mock.patch.object(LocalFolder, name, self.wrapped(getattr(LocalFolder, name)))
            for name in ("create", "write", "rename", "sync")
        ]
        for patch in self.patches:
            patch.start()
        connection.execute_wrappers.append(self.execute)

    def wrapped(self, function: Any) -> Any:
        def wrapper(*args: Any) -> Any:
            self.step()
            return function(*args)

        return wrapper

    def __exit__(self, kind: Any, *rest: Any) -> bool:
        connection.execute_wrappers.remove(self.execute)
        for patch in self.patches:
            patch.stop()
        return kind is Killed


def test_another_worker_leaves_alone_what_one_is_at(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested()
    ZipExport.objects.update(heartbeat=timezone.now())
    build_export(str(export.pk))
    assert again(export).state == State.QUEUED
    assert again(export).attempts == 0
    build_export("00000000-0000-0000-0000-000000000000")


# Cancelling.


def test_a_cancelled_export_leaves_nothing(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested()
    run_task(*support.queue.popleft())
    assert support.files_in(root) != []
    assert cancel(again(export))
    assert support.files_in(root) == []
    run_all()
    assert again(export).state == State.CANCELLED
    assert support.files_in(root) == []
    assert not cancel(again(export))


@pytest.mark.parametrize("recipe", ["documents", "texts"], ids=["in parts", "whole"])
@pytest.mark.parametrize("how", [cancel, ZipExport.delete], ids=["cancelled", "deleted"])
def test_who_publishes_what_is_over_meanwhile_takes_it_back(
    how: Any, recipe: str, root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested(recipe)
    rename = LocalFolder.rename

    def late(*args: Any) -> None:
        # Between what its worker has asked and what it does, and the upload can't be removed.
        with (
            mock.patch("django_stream_zip.exports.storing.abort_upload"),
            mock.patch("django_stream_zip.exports.storing.sweep"),
        ):
            how(again(export))
        rename(*args)

    with mock.patch.object(LocalFolder, "rename", late):
        run_all()
    assert support.files_in(root) == []


@pytest.mark.parametrize("tasks", range(1, 11, 3))
@pytest.mark.parametrize("model", [ZipExport, User])
def test_what_is_deleted_while_it_is_built_leaves_nothing(
    model: Any, tasks: int, root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", SIZES)
    requested()
    for _ in range(tasks):
        run_task(*support.queue.popleft())
    for row in model.objects.all():
        row.delete()
    run_all()
    assert not ZipExport.objects.exists()
    assert support.files_in(root) == []


def test_what_moves_on_and_back_meanwhile_is_cancelled_all_the_same(root: Path) -> None:
    """Whatever state it is in when the database is asked: that is once."""
    export = requested()
    ZipExport.objects.update(state=State.FINISHING)
    with CaptureQueriesContext(connection) as queries:
        cancel(export)
    updates = [query for query in queries if "CANCELLED" in query["sql"].upper()]
    assert len(updates) == 1


# What goes wrong.


class away:  # reads like a function
    """Have the database refuse statements that begin like this, from the nth one on."""

    def __init__(self, beginning: str, *, first: int = 1, times: int = 1000) -> None:
        self.beginning = beginning
        self.refused = range(first, first + times)
        self.seen = 0

    def __enter__(self) -> away:
        connection.execute_wrappers.append(self.execute)
        return self

    def __exit__(self, *error: object) -> None:
        connection.execute_wrappers.remove(self.execute)

    def execute(self, execute: Any, sql: str, *rest: Any) -> Any:
        self.seen += sql.startswith(self.beginning)
        if sql.startswith(self.beginning) and self.seen in self.refused:
            raise OperationalError("database is locked")
        return execute(sql, *rest)


@pytest.mark.parametrize("recipe", ["documents", "texts"], ids=["in parts", "whole"])
def test_progress_that_cannot_be_written_stops_nothing(
    recipe: str, root: Path, storage: CountingStorage, monkeypatch: Any
) -> None:
    monkeypatch.setattr("django_stream_zip.exports.progress._SECONDS", 0.0)
    support.make_documents(storage, "a", SIZES)
    export = requested(recipe)
    table = ZipExport._meta.db_table
    with away(f'UPDATE "{table}" SET "bytes_done"') as database:
        run_all()
    assert database.seen > 0
    assert again(export).state == State.READY
    data = support.stored(again(export), root)
    assert again(export).bytes_done == again(export).length == len(data)


@pytest.mark.parametrize("number", range(1, 20, 3))
def test_a_database_that_was_away_for_a_moment_is_asked_again_later(
    number: int, root: Path, storage: CountingStorage
) -> None:
    """Whichever statement fails, the sweep brings the export to its end."""
    support.make_documents(storage, "a", SIZES)
    export = requested()
    with away("", first=number, times=1) as database, suppress(OperationalError):
        run_all()
    assert database.seen >= number
    support.queue.clear()
    stall()
    list(sweep_exports())
    run_all()
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)


def test_a_clock_that_was_put_back_leaves_nothing_waiting(
    root: Path, storage: CountingStorage
) -> None:
    """Signs of life that come from tomorrow are none."""
    support.make_documents(storage, "a", SIZES)
    export = requested()
    run_task(*support.queue.popleft())
    support.queue.clear()
    tomorrow = timezone.now() + timedelta(days=1)
    ZipExport.objects.update(heartbeat=tomorrow, enqueued=tomorrow)
    assert [action.what for action in sweep_exports()] == ["resumed"]
    assert [action.what for action in sweep_exports()] == []
    run_all()
    assert again(export).state == State.READY


def test_a_recipe_that_is_gone_is_a_failure(root: Path, storage: CountingStorage) -> None:
    """It may come back with the next deployment; nothing is said of it."""
    export = requested()
    ZipExport.objects.update(recipe="of yesterday")
    with pytest.raises(LookupError, match="of yesterday"):
        run_all()
    ZipExport.objects.update(attempts=5)
    build_export(str(export.pk))
    failed = again(export)
    assert failed.state == State.FAILED
    assert failed.error == "The archive could not be prepared. Please try again later."


def test_an_archive_of_nothing_is_one(root: Path, storage: CountingStorage) -> None:
    export = requested(title="nobody has this")
    run_all()
    ready = again(export)
    assert (ready.state, ready.members) == (State.READY, 0)
    assert support.stored(ready, root) == support.streamed(export)


def test_files_that_changed_are_planned_anew_once(root: Path, storage: CountingStorage) -> None:
    [document, *_] = support.make_documents(storage, "a", SIZES)
    export = requested()
    run_task(*support.queue.popleft())
    document.delete()
    run_all()
    ready = again(export)
    assert (ready.state, ready.members, ready.plans) == (State.READY, 3, 1)
    assert support.stored(ready, root) == support.streamed(export)
    assert support.files_in(root) == [ready.file]


def test_an_archive_that_one_worker_goes_on_with_is_the_one_that_was_planned(
    root: Path, storage: CountingStorage
) -> None:
    documents = support.make_documents(storage, "a", SIZES)
    export = requested(options={"size": "size", "modified_at": "uploaded_at"})
    with mock.patch.object(LocalFolder, "create", side_effect=Killed), pytest.raises(Killed):
        run_all()
    assert (again(export).state, again(export).token) == (State.BUILDING, "")
    documents[0].uploaded_at = timezone.now()
    documents[0].save()
    stall()
    build_export(str(export.pk))
    run_all()
    assert (again(export).state, again(export).plans) == (State.READY, 1)
    assert support.stored(again(export), root) == support.streamed(export)


def test_files_that_change_again_are_named(
    root: Path, storage: CountingStorage, sent: list[Any]
) -> None:
    documents = support.make_documents(storage, "a", SIZES)
    export = requested()
    for number in (0, 3):
        run_task(*support.queue.popleft())
        support.queue.clear()
        documents[number].uploaded_at = timezone.now()
        documents[number].save()
        build_parts(str(export.pk), 1, 3)
    failed = again(export)
    assert (failed.state, failed.digest) == (State.FAILED, None)
    assert failed.error == "Files were changed while the archive was being prepared: a3.pdf"
    assert support.files_in(root) == []
    assert [(how, row.error) for how, row in sent] == [("failed", failed.error)]


@pytest.mark.parametrize("zone", [None, UTC])  # None is how the database has it without USE_TZ
def test_files_are_named_whether_times_have_a_zone_or_not(
    monkeypatch: pytest.MonkeyPatch, zone: Any
) -> None:
    members = [
        ("before", datetime(2026, 1, 1, tzinfo=UTC)),
        ("after", datetime(2026, 1, 5, tzinfo=UTC)),
        ("later", datetime(2026, 1, 6)),
    ]
    recipe = Recipe("times", lambda: members, lambda user: True)
    monkeypatch.setitem(registry._recipes, "times", recipe)
    export = ZipExport(recipe="times", planned=datetime(2026, 1, 3, tzinfo=zone))
    text = "Files were changed while the archive was being prepared: after, later"
    assert problems.changed(export) == text


def test_a_content_that_isnt_as_declared_is_never_published(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", SIZES)
    storage.files["a3.pdf"] = bytes(4000)
    export = requested()
    run_all()
    failed = again(export)
    assert failed.state == State.FAILED
    text = "Files were changed or removed while the archive was being prepared."
    assert failed.error == text
    assert support.files_in(root) == []


@pytest.fixture
def forgetful(root: Path, settings: Any) -> Path:
    """Have the storage keep no CRC-32s of parts."""
    place = "tests.support.exports.Forgetful"
    options = {"OPTIONS": {"location": str(root)}}
    exports = {"BACKEND": f"{place}Storage", **options}
    settings.STORAGES = {**settings.STORAGES, "exports": exports}
    settings.DJANGO_STREAM_ZIP = {
        **settings.DJANGO_STREAM_ZIP,
        "WRITERS": {f"{place}Storage": f"{place}Writer"},
    }
    return root


@pytest.mark.parametrize("is_as_declared", [True, False])
def test_rows_keep_the_crc_32s_that_a_storage_does_not(
    is_as_declared: bool, forgetful: Path, storage: CountingStorage
) -> None:
    support.make_documents(storages["default"], "a", SIZES)
    if not is_as_declared:
        storages["default"].files["a3.pdf"] = bytes(4000)
    export = requested()
    run_task(*support.queue.popleft())
    assert ZipExportPart.objects.count() == 1
    # A worker that was killed before it could record them.
    ZipExportPart.objects.all().delete()
    run_all()
    for _ in range(2):
        stall()
        build_export(str(export.pk))
        run_all()
    if is_as_declared:
        assert support.stored(again(export), forgetful) == support.streamed(export)
    else:
        assert again(export).state == State.FAILED
        assert support.files_in(forgetful) == []
    assert not ZipExportPart.objects.exists()


def test_a_missing_file_is_a_failure_at_once(root: Path, storage: CountingStorage) -> None:
    Document.objects.create(title="a", file="nowhere.pdf")
    export = requested(options={})
    assert run_all() == 1
    assert again(export).error == "A file of this download is missing."


def test_a_permission_that_is_withdrawn_is_a_failure(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested()
    User.objects.update(first_name="withdrawn")
    run_all()
    assert again(export).state == State.FAILED
    assert again(export).error == "You may not have these files any more."


def test_other_errors_are_tried_again_and_told_to_nobody(
    root: Path, settings: Any, sent: list[Any]
) -> None:
    settings.DJANGO_STREAM_ZIP = {**settings.DJANGO_STREAM_ZIP, "EXPORT_ATTEMPTS": 2}
    export = requested("failing")
    for _ in range(2):
        with pytest.raises(OSError, match="secret"):
            build_export(str(export.pk))
        assert again(export).state == State.QUEUED
        assert again(export).heartbeat is None
    build_export(str(export.pk))
    failed = again(export)
    assert failed.state == State.FAILED
    assert failed.error == "The archive could not be prepared. Please try again later."
    assert [how for how, _ in sent] == ["failed"]


def test_an_error_is_not_hidden_by_that_of_the_database(root: Path) -> None:
    export = requested("failing")
    table = ZipExport._meta.db_table
    with away(f'UPDATE "{table}" SET "heartbeat" = NULL'), pytest.raises(OSError, match="secret"):
        build_export(str(export.pk))


def test_an_export_that_gets_further_has_all_attempts_again(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested()
    run_task(*support.queue.popleft())
    assert again(export).attempts == 0


def test_a_store_that_refuses_leaves_nothing(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested()
    refusal = mock.patch.object(LocalFolder, "write", side_effect=PermissionError("no"))
    with refusal, pytest.raises(PermissionError):
        run_all()
    support.queue.clear()
    stall(attempts=100)
    build_export(str(export.pk))
    assert again(export).state == State.FAILED
    assert support.files_in(root) == []


def test_an_upload_that_is_gone_is_begun_again(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", SIZES)
    export = requested()
    run_task(*support.queue.popleft())
    for name in support.files_in(root):
        (root / name).unlink()
    run_all()
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)


def test_an_upload_that_is_gone_when_it_is_published_is_begun_again(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", SIZES)
    export = support.not_published()
    for name in support.files_in(root):
        (root / name).unlink()
    build_export(str(export.pk))
    run_all()
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)


def test_a_task_that_failed_at_the_end_may_be_tried_again_by_its_engine(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", SIZES)
    export = support.not_published()
    build_parts(str(export.pk), 3, 3)
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)


# Equal archives.


def test_an_equal_archive_that_is_ready_is_shared(
    root: Path, storage: CountingStorage, sent: list[Any]
) -> None:
    support.make_documents(storage, "a", SIZES)
    first = requested()
    run_all()
    second = requested(owner=support.make_user("grace"))
    assert run_all() == 1
    assert again(second).file == again(first).file
    assert again(second).state == State.READY
    assert again(second).bytes_done == again(first).length
    assert len(support.files_in(root)) == 1
    assert [row.owner.username for _, row in sent] == ["ada", "grace"]


def test_an_equal_archive_that_is_being_built_is_waited_for(
    root: Path, storage: CountingStorage, sent: list[Any]
) -> None:
    support.make_documents(storage, "a", SIZES)
    first = requested()
    run_task(*support.queue.popleft())
    second = requested(owner=support.make_user("grace"))
    run_task(*support.queue.pop())
    assert again(second).state == State.QUEUED
    run_all()
    assert again(second).state == State.READY
    assert support.files_in(root) == [again(first).file] == [again(second).file]
    assert len(sent) == 2


def test_who_waits_for_what_is_cancelled_is_built(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", SIZES)
    first = requested()
    run_task(*support.queue.popleft())
    second = requested(owner=support.make_user("grace"))
    run_task(*support.queue.pop())
    cancel(again(first))
    run_all()
    assert again(second).state == State.READY
    assert support.files_in(root) == [again(second).file]


# What it costs.


@pytest.mark.parametrize("report", [Reports.add, Reports.at], ids=["in parts", "whole"])
def test_progress_is_written_once_a_second(report: Any, root: Path) -> None:
    export = requested()
    ZipExport.objects.update(length=9000)
    with CaptureQueriesContext(connection) as queries:
        reports = Reports(export)
        for _ in range(1000):
            report(reports, 1)
        assert len(queries) == 0
        reports._written_at -= 1
        report(reports, 1)
        report(reports, 1)
        assert len(queries) == 1


def test_a_build_asks_the_database_as_rarely_as_it_can(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [3000] * 30)
    requested()
    with CaptureQueriesContext(connection) as queries:
        run_task(*support.queue.popleft())
    assert len(queries) <= 9
    task = support.queue.popleft()
    with CaptureQueriesContext(connection) as queries:
        run_task(*task)
    of_rows = [query for query in queries if "zip_exports" in query["sql"]]
    assert len(of_rows) == 2


@pytest.mark.parametrize(
    ("parts", "tasks"),
    [(1, [1]), (5, [1] * 5), (31, [1] * 31), (64, [4] * 16), (2000, [64] * 31 + [16])],
)
def test_parts_are_spread_over_tasks(parts: int, tasks: list[int], settings: Any) -> None:
    settings.DJANGO_STREAM_ZIP = {"EXPORT_TASK_BYTES": 64_000}
    found = [*build._tasks(range(1, parts + 1), [1000] * parts)]
    assert [len(numbers) for numbers in found] == tasks
    assert [number for numbers in found for number in numbers] == [*range(1, parts + 1)]
