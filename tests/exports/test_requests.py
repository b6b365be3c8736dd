"""Requests: a recipe by its name, one row for the same request, states that may follow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.files.storage import storages
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import django_stream_zip.exports
from django_stream_zip.exports import State, ZipExport, request_zip, run_task, zip_export
from django_stream_zip.exports.models import exports
from django_stream_zip.exports.registry import UnknownRecipeError, recipe_of
from django_stream_zip.exports.requests import _created, request_again
from django_stream_zip.exports.states import ENDED, LIVE, NEXT
from tests.support import exports as support
from tests.support.counting import CountingStorage
from tests.support.exports import again, make_user, requested, run_all

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_same_request_gives_the_same_row(root: Path) -> None:
    first = requested(title="a")
    assert requested(title="a") == first
    assert support.queue.pop() == ("build_export", str(first.pk))
    assert not support.queue
    others = [
        requested(title="b"),
        requested(title="a", filename="other.zip"),
        requested(title="a", owner=make_user("grace")),
        requested("shared documents", title="a"),
    ]
    assert len({first, *others}) == 5


def test_a_request_that_is_over_can_be_made_anew(root: Path) -> None:
    export = requested()
    for target in ENDED:
        source = State.READY if target == State.EXPIRED else State.QUEUED
        ZipExport.objects.filter(pk=export.pk).update(state=source)
        assert ZipExport.objects.filter(pk=export.pk).move(source, target)
        new = requested()
        assert new != export
        export = new


def test_one_that_has_expired_and_was_not_swept_is_made_anew(root: Path) -> None:
    export = requested()
    past = timezone.now() - timedelta(seconds=1)
    ZipExport.objects.update(state=State.READY, expires=past)
    assert requested() != export
    assert again(export).state == State.EXPIRED


def test_a_ready_one_is_requested_again_and_shares_what_has_not_changed(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [3000])
    export = requested()
    run_all()
    same = request_again(again(export))
    assert run_all() == 1
    assert again(export).state == again(same).state == State.READY
    assert again(export).file == again(same).file
    support.make_documents(storage, "b", [10])
    other = request_again(again(same))
    run_all()
    assert (again(other).members, again(same).members) == (2, 1)
    assert len(support.files_in(root)) == 2
    assert request_again(again(other)) != other


def test_what_may_not_be_requested_again_stays_what_the_same_request_gives(
    root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [3000])
    export = requested()
    run_all()
    User.objects.update(first_name="withdrawn")
    with pytest.raises(PermissionDenied):
        request_again(again(export))
    User.objects.update(first_name="")
    assert requested() == export


def test_who_requests_the_same_at_the_same_moment_gets_the_same_row(root: Path) -> None:
    """Neither has seen the other's row when it looked."""
    request = ("documents", make_user(), "archive.zip", {"title": "a"})
    first, second = _created(*request), _created(*request)
    assert first == second
    assert support.queue.pop() == ("build_export", str(first.pk))
    assert not support.queue


def test_a_request_within_a_transaction_is_enqueued_when_it_is_committed(root: Path) -> None:
    with transaction.atomic():
        requested()
        assert not support.queue
    assert len(support.queue) == 1


def test_an_engine_that_cannot_be_reached_is_left_to_the_sweep(
    root: Path, settings: Any, caplog: Any
) -> None:
    settings.DJANGO_STREAM_ZIP = {
        **settings.DJANGO_STREAM_ZIP,
        "ENQUEUE": "tests.support.exports.unreachable",
    }
    assert requested().state == State.QUEUED
    assert "no broker" in caplog.text


def test_a_request_asks_the_database_a_few_times(root: Path) -> None:
    user = make_user()
    with CaptureQueriesContext(connection) as queries:
        requested(owner=user)
    assert len(queries) <= 4  # with those that begin and commit
    with CaptureQueriesContext(connection) as queries:
        requested(owner=user)
    assert len(queries) == 1


@pytest.mark.parametrize(
    ("recipe", "arguments", "error", "text"),
    [
        ("nothing", {}, UnknownRecipeError, "there is no recipe 'nothing'; known are: "),
        ("documents", {"album": 7}, TypeError, "unexpected keyword argument 'album'"),
        ("documents", {"title": {7}}, TypeError, "must be JSON"),
        ("documents", {"title": (7,)}, TypeError, "come back from JSON as they are"),
        ("documents", {"title": float("inf")}, TypeError, "must be JSON"),
    ],
)
def test_a_wrong_request_is_an_error_at_once(
    recipe: str, arguments: Any, error: type[Exception], text: str, root: Path
) -> None:
    with pytest.raises(error, match=text):
        request_zip(recipe, owner=make_user(), **arguments)
    assert not ZipExport.objects.exists()


def test_who_may_not_have_it_makes_no_request(root: Path) -> None:
    with pytest.raises(PermissionDenied, match="You may not have these files"):
        requested(owner=make_user("eve", first_name="withdrawn"))
    assert not ZipExport.objects.exists()


@pytest.mark.parametrize("filename", ["a" * 1000 + ".zip", "ä" * 300, "🎞" * 200, "../\0\r\n.zip"])
def test_a_name_of_any_length_fits(filename: str, root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [10])
    export = requested(filename=filename)
    assert requested(filename=filename) == export
    ZipExport._meta.get_field("filename").clean(export.filename, export)
    run_all()
    assert again(export).state == State.READY


def test_a_row_whose_storage_is_gone_can_be_deleted(
    root: Path, storage: CountingStorage, caplog: Any
) -> None:
    export = requested()
    ZipExport.objects.update(storage="of yesterday")
    again(export).delete()
    assert not ZipExport.objects.exists()
    assert "of yesterday" in caplog.text


def test_a_deleted_row_takes_its_file_with_it(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [3000])
    mine, other = requested(), requested(owner=make_user("grace"))
    run_all()
    with transaction.atomic():
        again(mine).delete()
    assert support.files_in(root) == [again(other).file]
    User.objects.get(username="grace").delete()
    assert support.files_in(root) == []
    assert not ZipExport.objects.exists()


# States and recipes.


@pytest.mark.parametrize("source", State)
@pytest.mark.parametrize("target", State)
def test_only_what_may_follow_does(source: State, target: State, root: Path) -> None:
    export = requested()
    ZipExport.objects.update(state=source)
    mine = exports().filter(pk=export.pk)
    if target not in NEXT[source]:
        with pytest.raises(ValueError, match="doesn't follow"):
            mine.move(source, target)
        return
    assert mine.move(source, target)
    assert again(export).state == target
    assert (again(export).digest is None) == (target in ENDED)
    assert not mine.move(source, target)


def test_every_state_is_live_or_has_ended() -> None:
    assert {*LIVE} | {*ENDED} == {*State}
    assert not {*LIVE} & {*ENDED}


def test_a_name_stands_for_one_recipe() -> None:
    with pytest.raises(ValueError, match="two recipes are named 'documents'"):
        zip_export("documents", allowed=bool)(lambda: [])
    with pytest.raises(ValueError, match="can't have a parameter named 'owner'"):
        zip_export("x", allowed=bool)(lambda owner: [])
    with pytest.raises(ValueError, match="a recipe's name must be text"):
        zip_export("", allowed=bool)
    with pytest.raises(TypeError, match="allowed must be a function"):
        zip_export("x", allowed=True)  # type: ignore[arg-type]
    documents = recipe_of("documents")
    zip_export("documents", allowed=documents.allowed)(documents.members)  # imported again


def test_a_queue_chooses_no_other_code() -> None:
    with pytest.raises(ValueError, match=r"there is no task 'os\.remove'"):
        run_task("os.remove", "/")


def test_all_names_can_be_imported() -> None:
    for name in django_stream_zip.exports.__all__:
        assert getattr(django_stream_zip.exports, name)
    with pytest.raises(AttributeError):
        _ = django_stream_zip.exports.nothing


def test_the_storage_is_the_one_of_the_row(root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [3000])
    export = requested()
    assert export.storage == "exports"
    assert storages["exports"].path(export.file) == str(root / export.file)
