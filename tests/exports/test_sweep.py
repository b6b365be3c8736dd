"""The sweep, and the command that runs it."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from django_stream_zip.exports import State, ZipExport, run_task, sweep, sweep_exports
from django_stream_zip.exports.finishing import cancel
from django_stream_zip.exports.signals import zip_export_ready
from django_stream_zip.saving.writers.local import LocalFolder
from tests.support import exports as support
from tests.support.counting import CountingStorage
from tests.support.exports import again, make_user, requested, run_all

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timezone.now() - timedelta(days=100)


def swept() -> list[str]:
    """Sweep, and give what was done."""
    return [action.what for action in sweep_exports()]


def test_there_is_nothing_to_do_for_what_goes_its_way(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [3000])
    requested()
    assert swept() == []
    run_task(*support.queue.popleft())
    assert swept() == []
    run_all()
    assert swept() == []


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_has_stalled_is_enqueued_once(
    steps: int, root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [9000])
    export = requested()
    for _ in range(steps):
        run_task(*support.queue.popleft())
    support.queue.clear()  # the engine has lost all of it
    ZipExport.objects.update(heartbeat=LONG_AGO, enqueued=LONG_AGO)
    assert swept() == ["resumed"]
    assert swept() == []
    run_all()
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)


def test_what_only_lacks_its_end_is_completed(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [9000])
    export = support.not_published()
    ZipExport.objects.update(enqueued=LONG_AGO)
    assert swept() == ["resumed"]
    run_all()
    assert again(export).state == State.READY
    assert support.stored(again(export), root) == support.streamed(export)


def test_what_has_expired_is_removed_and_its_row_later(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [3000])
    mine, other = requested(), requested(owner=make_user("grace"))
    run_all()
    ZipExport.objects.filter(pk=mine.pk).update(expires=LONG_AGO)
    assert swept() == ["expired"]
    assert support.files_in(root) == [again(other).file], "it is shared"
    ZipExport.objects.filter(pk=other.pk).update(expires=LONG_AGO)
    assert swept() == ["expired"]
    assert support.files_in(root) == []
    ZipExport.objects.update(ended=timezone.now() - timedelta(hours=1))
    assert swept() == ["cleaned", "cleaned"]
    assert swept() == []
    ZipExport.objects.update(ended=LONG_AGO)
    assert swept() == ["forgotten", "forgotten"]
    assert not ZipExport.objects.exists()


def test_a_dead_upload_is_removed_later(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [3000])
    export = requested()
    run_task(*support.queue.popleft())
    with mock.patch.object(LocalFolder, "remove", side_effect=ConnectionError("away")):
        cancel(again(export))
    assert support.files_in(root) != []
    assert swept() == []
    assert support.files_in(root) == []
    ZipExport.objects.update(ended=timezone.now() - timedelta(hours=1))
    assert swept() == ["cleaned"]
    assert again(export).token == again(export).file == ""


def test_a_signal_that_nobody_has_sent_is_sent_once(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [3000])
    export = requested()
    run_all()
    sent: list[Any] = []

    def ready(export: Any, **kwargs: Any) -> None:
        sent.append(export.pk)

    zip_export_ready.connect(ready)
    ZipExport.objects.update(announced=False, ready=timezone.now() - timedelta(hours=1))
    assert swept() == ["announced"]
    assert swept() == []
    assert sent == [export.pk]


def test_what_is_in_a_storage_that_is_gone_keeps_nothing_else_from_being_done(
    root: Path, storage: CountingStorage, caplog: Any
) -> None:
    support.make_documents(storage, "a", [3000])
    lost, other = requested(), requested(title="b")
    run_all()
    ZipExport.objects.update(expires=LONG_AGO)
    ZipExport.objects.filter(pk=lost.pk).update(storage="of yesterday")
    assert swept() == ["expired", "expired"]
    assert support.files_in(root) == [again(lost).file]
    assert again(other).state == again(lost).state == State.EXPIRED
    assert "of yesterday" in caplog.text
    ZipExport.objects.update(ended=LONG_AGO)
    assert swept() == ["cleaned", "forgotten"]
    assert ZipExport.objects.get() == lost


def test_an_error_at_one_export_is_logged_and_the_others_are_swept(
    root: Path, storage: CountingStorage, caplog: Any
) -> None:
    first, second = requested(title="a"), requested(title="b")
    ZipExport.objects.update(enqueued=LONG_AGO)
    revive = sweep.revive

    def failing(export: ZipExport) -> bool:
        if export.pk == first.pk:
            raise OperationalError("database is locked")
        return revive(export)

    with mock.patch.object(sweep, "_STEPS", (("resumed", sweep._stalled, failing),)):
        assert [action.export for action in sweep_exports()] == [second]
    assert "database is locked" in caplog.text


def test_two_sweeps_at_once_do_everything_once(root: Path, storage: CountingStorage) -> None:
    """One of them is where the other one is before each thing that is to be done."""
    support.make_documents(storage, "a", [3000])
    stalled, ready, old = (requested(title=title) for title in "abc")
    support.queue.popleft()
    run_all()
    ZipExport.objects.filter(pk=stalled.pk).update(enqueued=LONG_AGO)
    ZipExport.objects.filter(pk=ready.pk).update(expires=LONG_AGO)
    ZipExport.objects.filter(pk=old.pk).update(state=State.CANCELLED, ended=LONG_AGO, file="")
    done: list[str] = []
    for action in sweep_exports():
        done += [action.what, *swept()]
    assert sorted(done) == ["expired", "forgotten", "resumed"]
    assert len(support.queue) == 1


def test_a_dry_run_only_says_what_is_to_be_done(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [3000])
    export = requested()
    ZipExport.objects.update(enqueued=LONG_AGO)
    for options, text in [
        ({"dry_run": True}, f"resumed: {export.pk} 'archive.zip'\n1 resumed\n"),
        ({"dry_run": True}, f"resumed: {export.pk} 'archive.zip'\n1 resumed\n"),
        ({}, "1 resumed\n"),
        ({}, "nothing to do\n"),
        ({"verbosity": 0}, ""),
    ]:
        output = StringIO()
        call_command("zip_exports", stdout=output, **options)  # type: ignore[arg-type]
        assert output.getvalue() == text
