"""Pages of exports: who sees what, in which form, at which price."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_stream_zip.exports import State, ZipExport, ZipExportView, registry, run_task
from django_stream_zip.exports.registry import recipe_of
from django_stream_zip.exports.views import ExportStatusView
from django_stream_zip.members import storage_member
from django_stream_zip.views import ZipDownloadView
from tests.support import exports as support
from tests.support.counting import CountingStorage
from tests.support.exports import again, make_user, requested, run_all

pytestmark = pytest.mark.django_db(transaction=True)

JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_user())
    return client


@pytest.fixture
def ready(root: Path, storage: CountingStorage) -> ZipExport:
    """Give an export that is ready."""
    support.make_documents(storage, "a", [5000, 4000])
    export = requested(filename="Dokumente ä.zip")
    run_all()
    return again(export)


def url(name: str, export: Any) -> str:
    return reverse(f"zip_exports:{name}", args=[export.pk])


# The way.


def test_the_whole_way(client: Client, root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [5000, 4000])
    page = client.get("/documents/a/")
    assert b"Prepare the archive" in page.content
    assert not ZipExport.objects.exists()
    answer = client.post("/documents/a/")
    export = ZipExport.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/exports/{export.pk}/")
    assert client.post("/documents/a/").headers["Location"] == answer.headers["Location"]
    assert client.get("/documents/a/").headers["Location"] == answer.headers["Location"]
    page = client.get(answer.headers["Location"])
    assert page.headers["Retry-After"] == "2"
    assert page.headers["Cache-Control"] == "private, no-store"
    assert b'<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.content
    assert b"<progress" in page.content
    run_all()
    page = client.get(answer.headers["Location"])
    assert "Retry-After" not in page.headers
    assert b"refresh" not in page.content
    file = url("file", export)
    assert f'<a href="{file}" download>'.encode() in page.content
    answer = client.get(file)
    assert answer.headers["Content-Disposition"].endswith("UTF-8''Dokumente%20%C3%A4.zip")
    assert b"".join(answer.streaming_content) == support.streamed(export)  # type: ignore[attr-defined]


def test_scripts_get_json(client: Client, root: Path, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [5000, 4000])
    export = requested()
    run_task(*support.queue.popleft())
    answer = client.get(url("status", export), **JSON)  # type: ignore[arg-type]
    status = json.loads(answer.content)
    assert status["state"] == "building"
    assert 0 < status["fraction"] < 1
    assert status["url"] is None
    assert answer.headers["Retry-After"] == "2"
    assert "Accept" in answer.headers["Vary"]
    run_all()
    status = client.get(url("status", export), **JSON).json()  # type: ignore[arg-type]
    assert (status["state"], status["fraction"]) == ("ready", 1.0)
    assert status["url"] == url("file", export)
    assert status["length"] == again(export).length


def test_a_poll_is_one_query(ready: ZipExport) -> None:
    request = RequestFactory().get("/", **JSON)  # type: ignore[arg-type]
    request.user = make_user()
    with CaptureQueriesContext(connection) as queries:
        ExportStatusView.as_view()(request, pk=ready.pk)
    assert len(queries) == 1


@pytest.mark.parametrize("state", State)
def test_each_state_has_a_page(state: State, client: Client, ready: ZipExport) -> None:
    ZipExport.objects.update(state=state, error="<b>why</b>", length=None)
    page = client.get(url("status", ready)).content.decode()
    assert ("<b>" in page) is False
    assert ("&lt;b&gt;why" in page) == (state == State.FAILED)
    assert ("Cancel" in page) == (state in ("queued", "building", "finishing"))
    assert ("Prepare it again" in page) == (state not in ("queued", "building", "finishing"))
    assert ("/file/" in page) == (state == State.READY)


@pytest.mark.parametrize("nonce", [None, "r4nd0m"])
def test_the_script_has_the_nonce_of_the_policy(
    nonce: str | None, ready: ZipExport, settings: Any
) -> None:
    ZipExport.objects.update(state=State.BUILDING)
    request = RequestFactory().get("/")
    request.user = make_user()
    request.csp_nonce = nonce  # type: ignore[attr-defined]
    [engine] = settings.TEMPLATES
    processors = {"context_processors": [f"{__name__}.nonce_of"]}
    settings.TEMPLATES = [{**engine, "OPTIONS": processors}]
    page = ExportStatusView.as_view()(request, pk=ready.pk).content.decode()
    assert re.findall(r'<script[^>]* nonce="(\w+)"', page) == ([nonce] if nonce else [])


def nonce_of(request: Any) -> dict[str, Any]:
    """Return what the context processor of Django's own policy does."""
    return {} if request.csp_nonce is None else {"csp_nonce": request.csp_nonce}


def test_the_page_says_how_many_files_are_missing(client: Client, ready: ZipExport) -> None:
    ZipExport.objects.update(missing=2)
    assert b"2 files are missing in it." in client.get(url("status", ready)).content


def test_an_export_is_cancelled_and_prepared_again_by_a_post(
    client: Client, root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [5000, 4000])
    export = requested()
    for name in ("cancel", "again"):
        assert client.get(url(name, export)).status_code == 405
    answer = client.post(url("cancel", export))
    assert (answer.status_code, answer.headers["Location"]) == (303, url("status", export))
    assert again(export).state == State.CANCELLED
    answer = client.post(url("again", export))
    new = ZipExport.objects.get(state=State.QUEUED)
    assert answer.headers["Location"] == url("status", new)


def test_forms_need_a_token(ready: ZipExport) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user())
    for path in ("/documents/a/", url("cancel", ready), url("again", ready)):
        assert client.post(path).status_code == 403


# The file.


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_a_download_has_length_tag_and_ranges(client: Client, ready: ZipExport) -> None:
    data = support.streamed(ready)
    whole = client.get(url("file", ready))
    assert body(whole) == data
    assert whole.headers["Content-Length"] == str(len(data))
    assert whole.headers["ETag"] == ready.tag
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Cache-Control"] == "private, no-transform"
    part = client.get(url("file", ready), headers={"range": "bytes=100-299"})
    assert part.status_code == 206
    assert part.headers["Content-Range"] == f"bytes 100-299/{len(data)}"
    assert body(part) == data[100:300]
    assert body(client.get(url("file", ready), headers={"range": "bytes=-7"})) == data[-7:]
    assert client.get(url("file", ready), headers={"range": "bytes=99999-"}).status_code == 416
    same = client.get(url("file", ready), headers={"if-none-match": ready.tag})
    assert same.status_code == 304
    head = client.head(url("file", ready))
    assert head.headers["Content-Length"] == str(len(data))
    assert body(head) == b""


def test_an_archive_without_a_tag_has_one_as_a_file(
    client: Client, root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [5000, 4000])
    export = requested("texts")
    run_all()
    answer = client.get(url("file", export), headers={"range": "bytes=1-2"})
    assert body(answer) == (root / again(export).file).read_bytes()[1:3]
    assert answer.headers["ETag"] == f'"{export.pk.hex}"'


def test_it_streams_under_asgi(ready: ZipExport) -> None:
    async def length() -> int:
        client = AsyncClient()
        await client.aforce_login(await User.objects.aget())
        answer: Any = await client.get(url("file", ready))
        data = b"".join([block async for block in answer])
        await sync_to_async(answer.close)()
        return len(data)

    assert async_to_sync(length)() == ready.length


def test_a_file_that_is_gone_or_another_is_not_found(
    client: Client, ready: ZipExport, root: Path
) -> None:
    (root / ready.file).write_bytes(b"short")
    assert client.get(url("file", ready)).status_code == 404
    (root / ready.file).unlink()
    assert client.get(url("file", ready)).status_code == 404


def test_a_storage_that_is_gone_is_not_found(client: Client, ready: ZipExport) -> None:
    ZipExport.objects.update(storage="of yesterday")
    assert client.get(url("file", ready)).status_code == 404
    assert client.get(shared(ready)).status_code == 404


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        (("X-Accel-Redirect", "/protected/"), "/protected/zip_exports/{pk}-0.zip"),
        (("X-Sendfile", "/srv/exports"), "/srv/exports/zip_exports/{pk}-0.zip"),
    ],
)
def test_a_web_server_sends_it(
    pair: Any, value: str, client: Client, ready: ZipExport, settings: Any
) -> None:
    settings.DJANGO_STREAM_ZIP = {**settings.DJANGO_STREAM_ZIP, "EXPORT_SENDFILE": pair}
    answer = client.get(url("file", ready))
    assert answer.headers[pair[0]] == value.format(pk=ready.pk)
    assert answer.headers["Content-Type"] == "application/zip"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.content == b""


def test_a_store_sends_it_by_a_url_that_is_signed_for_minutes(
    client: Client, ready: ZipExport, settings: Any
) -> None:
    pytest.importorskip("boto3")
    options = {
        "bucket_name": "b",
        "access_key": "k",
        "secret_key": "s",
        "region_name": "eu-west-1",
        "signature_version": "s3v4",
    }
    for more, is_signed in [({}, True), ({"querystring_auth": False}, False)]:
        s3 = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {**options, **more}}
        settings.STORAGES = {**settings.STORAGES, "exports": s3}
        with mock.patch("django_stream_zip.exports.delivering._sent_by_us") as by_us:
            by_us.side_effect = FileNotFoundError
            answer = client.get(url("file", ready))
            assert answer.status_code == (302 if is_signed else 404)
            assert client.head(url("file", ready)).status_code == 404
        if is_signed:
            location = answer.headers["Location"]
            assert "X-Amz-Expires=300" in location
            assert "response-content-disposition=attachment" in location
            assert answer.headers["Cache-Control"] == "private, no-store"


# Who may.


@pytest.fixture
def stranger() -> Client:
    client = Client()
    client.force_login(make_user("mallory"))
    return client


@pytest.mark.parametrize("state", [State.BUILDING, State.READY])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize(
    ("method", "name", "status"),
    [
        *[(method, name, 404) for method in ("get", "head") for name in ("status", "file")],
        *[("post", name, 404) for name in ("cancel", "again")],
        *[("post", name, 405) for name in ("status", "file")],
        *[(method, name, 405) for method in ("get", "head") for name in ("cancel", "again")],
        *[("options", name, 200) for name in ("status", "file", "cancel", "again")],
    ],
)
def test_others_are_told_nothing(
    method: str, name: str, status: int, accept: str, state: State, stranger: Client, root: Path
) -> None:
    """Somebody else's export is as one that isn't there, down to the last byte."""
    export = requested()
    ZipExport.objects.update(state=state, error="a secret")
    answers = [
        getattr(stranger, method)(url(name, one), headers={"accept": accept})
        for one in (export, mock.Mock(pk=uuid.uuid4()))
    ]
    assert [answer.status_code for answer in answers] == [status, status]
    assert answers[0].content == answers[1].content
    assert dict(answers[0].headers) == dict(answers[1].headers)
    assert again(export).state == state
    assert ZipExport.objects.count() == 1


def test_who_is_not_logged_in_is_sent_to_log_in_whatever_there_is(ready: ZipExport) -> None:
    guessed = mock.Mock(pk=uuid.uuid4())
    for name in ("status", "file"):
        for export in (ready, guessed):
            answer = Client().get(url(name, export))
            assert answer.headers["Location"] == f"/accounts/login/?next={url(name, export)}"
            assert Client().get(url(name, export), **JSON).status_code == 403  # type: ignore[arg-type]
    assert Client().post("/documents/a/").status_code == 302
    assert ZipExport.objects.count() == 1


@pytest.mark.parametrize("name", ["cancel", "again"])
def test_a_button_leads_through_the_login_back_to_its_page(name: str, ready: ZipExport) -> None:
    answer = Client().post(url(name, ready))
    assert answer.headers["Location"] == f"/accounts/login/?next={url('status', ready)}"


def test_a_permission_that_is_withdrawn_ends_it(client: Client, ready: ZipExport) -> None:
    share = shared(ready)
    assert client.get(share).status_code == 200
    User.objects.update(first_name="withdrawn")
    assert client.get(url("file", ready)).status_code == 403
    assert client.get(share).status_code == 404
    assert client.post("/documents/a/").status_code == 403
    assert client.get("/documents/a/").status_code == 403
    assert client.post(url("again", ready)).status_code == 403


@pytest.mark.parametrize("title", ["gone", "lost"])
def test_what_is_not_there_any_more_is_nobodys(
    title: str, client: Client, ready: ZipExport
) -> None:
    """A function that looks for what isn't there is no failure of the site, and tells nothing."""
    share = shared(ready)
    ZipExport.objects.update(arguments={"title": title})
    assert client.get(url("file", ready)).status_code == 403
    assert client.get(share).status_code == 404
    assert client.post(f"/documents/{title}/").status_code == 403
    assert client.get(f"/documents/{title}/").status_code == 403


def test_what_has_expired_is_not_found(client: Client, ready: ZipExport) -> None:
    share = shared(ready)
    ZipExport.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert client.get(url("file", ready)).status_code == 404
    assert client.get(share).status_code == 404
    assert b"has expired" in client.get(url("status", ready)).content


def test_what_is_not_ready_is_not_found(client: Client, root: Path) -> None:
    assert client.get(url("file", requested())).status_code == 404


def test_a_recipe_that_is_gone_is_not_found(client: Client, ready: ZipExport) -> None:
    ZipExport.objects.update(recipe="of yesterday")
    assert client.get(url("file", ready)).status_code == 403
    assert client.post(url("again", ready)).status_code == 404


def test_a_recipe_that_takes_other_arguments_by_now_is_not_found(
    client: Client, ready: ZipExport
) -> None:
    ZipExport.objects.update(arguments={"album": 7})
    assert client.post(url("again", ready)).status_code == 404


def test_who_may_have_it_is_asked_of_other_arguments_by_now(
    client: Client, ready: ZipExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipe_of("documents"), allowed=lambda user, album: True)
    monkeypatch.setitem(registry._recipes, "documents", recipe)
    assert client.get(url("file", ready)).status_code == 403
    assert client.post(url("again", ready)).status_code == 404


# Shared links.


def shared(export: ZipExport) -> str:
    """Give a link to an export whose recipe has become shareable."""
    ZipExport.objects.update(recipe="shared documents", arguments={})
    return again(export).get_share_url(max_age=60)


def test_a_link_works_for_anybody_until_it_expires(ready: ZipExport) -> None:
    with pytest.raises(PermissionError, match="shareable=True"):
        ready.get_share_url(max_age=60)
    link = shared(ready)
    answer = Client().get(link)
    assert body(answer) == support.streamed(ready)
    assert Client().head(link).status_code == 200
    tampered = link[:-3] + ("a" if link[-3] != "a" else "b") + link[-2:]
    assert Client().get(tampered).status_code == 404
    assert Client().get("/exports/shared/x/").status_code == 404
    with mock.patch("time.time", return_value=timezone.now().timestamp() + 61):
        assert Client().get(link).status_code == 404
    ZipExport.objects.update(recipe="documents")
    assert Client().get(link).status_code == 404
    with pytest.raises(ValueError, match="max_age must be a number of seconds"):
        shared(ready) and again(ready).get_share_url(max_age=0)


@pytest.mark.parametrize(
    ("changes", "of_owner"),
    [
        *[({"state": state}, {}) for state in State if state != State.READY],
        ({"expires": datetime(2020, 1, 1, tzinfo=UTC)}, {}),
        ({"file": "zip_exports/nowhere.zip"}, {}),
        ({}, {"is_active": False}),
        ({}, {"first_name": "withdrawn"}),
    ],
)
def test_a_link_to_what_is_over_says_what_a_wrong_one_does(
    changes: Any, of_owner: Any, ready: ZipExport
) -> None:
    link = shared(ready)
    if changes:
        ZipExport.objects.update(**changes)
    if of_owner:
        User.objects.update(**of_owner)
    for method in ("get", "head"):
        answers = [getattr(Client(), method)(path) for path in (link, "/exports/shared/x/")]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content
        assert dict(answers[0].headers) == dict(answers[1].headers)


def test_a_link_is_good_for_its_export_only(ready: ZipExport) -> None:
    """Not for its pages, and no other token of the site is one."""
    link = shared(ready)
    for name in ("status", "file"):
        assert Client().get(url(name, ready)).status_code == 302
    other = signing.dumps([str(ready.pk), 2**40])
    assert Client().get(f"/exports/shared/{other}/").status_code == 404
    again(ready).delete()
    assert Client().get(link).status_code == 404


# Views of a site.


class Download(ZipDownloadView):
    """A download of 1,000 bytes and a little."""

    export_view = "documents-export"

    def get_members(self) -> Any:
        storage = CountingStorage()
        storage.files["a.jpg"] = bytes(1000)
        return [storage_member(storage, "a.jpg")]


@pytest.mark.parametrize(("export_over", "status"), [(None, 200), (2000, 200), (1000, 302)])
def test_a_larger_download_is_prepared(export_over: int | None, status: int) -> None:
    view = Download.as_view(export_over=export_over)
    answer = view(RequestFactory().get("/"), title="ä")
    assert answer.status_code == status
    if status == 302:
        assert answer.headers["Location"] == "/documents/%C3%A4/"
    answer.close()


def test_a_view_without_a_target_says_so() -> None:
    with pytest.raises(ImproperlyConfigured, match="export_over must be a number of bytes"):
        Download.as_view(export_over="10 GB")
    request = RequestFactory().get("/")
    with pytest.raises(ImproperlyConfigured, match="Download needs an export_view"):
        Download.as_view(export_over=1, export_view=None)(request)
    request.user = make_user()
    with pytest.raises(ImproperlyConfigured, match="ZipExportView needs a recipe"):
        ZipExportView.as_view()(request)
