"""The admin: archives of what is selected, and the list of exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from django_stream_zip.exports import State, ZipExport
from tests.models import Document
from tests.support import export_admin
from tests.support import exports as support
from tests.support.counting import CountingStorage
from tests.support.exports import again, make_user, requested, run_all

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.support.export_admin"),
]

EXPORTS = "/admin/zip_exports/zipexport/"


@pytest.fixture
def chief(root: Path, storage: CountingStorage) -> User:
    user = make_user("chief", is_staff=True, is_superuser=True)
    support.make_documents(storage, "a", [500, 400, 300])
    Document.objects.update(owner=user)
    return user


@pytest.fixture
def client(chief: User) -> Client:
    client = Client()
    client.force_login(chief)
    return client


def choose(client: Client, action: str) -> Any:
    pks = [str(pk) for pk in Document.objects.values_list("pk", flat=True)]
    form = {"action": action, "_selected_action": pks}
    return client.post("/admin/tests/document/", form, follow=True)


def test_what_is_selected_is_prepared(client: Client, root: Path, chief: User) -> None:
    page = choose(client, "prepare_zip")
    export = ZipExport.objects.get()
    assert page.redirect_chain == [(f"/exports/{export.pk}/", 302)]
    assert choose(client, "prepare_zip").redirect_chain[0][0].endswith(f"{export.pk}/")
    run_all()
    ready = again(export)
    assert (ready.state, ready.owner, ready.filename) == (State.READY, chief, "Documents.zip")
    with ZipFile(root / ready.file) as archive:
        assert archive.namelist() == ["a0.pdf", "a1.pdf", "a2.pdf"]
    assert client.get(f"/exports/{export.pk}/file/").status_code == 200
    User.objects.update(is_superuser=False)
    assert client.get(f"/exports/{export.pk}/file/").status_code == 403


def test_members_have_the_names_of_a_download(
    client: Client, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named(self: Any, request: Any, instance: Document, stored_name: str) -> str:
        return f"{instance.title} of {request.user}.pdf"

    monkeypatch.setattr(export_admin.DocumentAdmin, "get_zip_member_name", named)
    choose(client, "prepare_zip")
    run_all()
    with ZipFile(root / ZipExport.objects.get().file) as archive:
        assert archive.namelist() == [f"a{number} of chief.pdf" for number in range(3)]


def test_a_row_that_the_user_may_not_see_any_more_is_a_failure(client: Client) -> None:
    choose(client, "prepare_zip")
    Document.objects.filter(title="a1").update(owner=None)
    run_all()
    assert ZipExport.objects.get().state == State.FAILED


def test_a_download_over_the_limit_names_the_action(client: Client) -> None:
    page = choose(client, "download_as_zip").content.decode()
    assert "You selected 3 items, but only 2 items can be downloaded at a time." in page
    assert "Or choose “Prepare ZIP in the background”." in page


def test_without_files_there_is_nothing_to_prepare(client: Client) -> None:
    Document.objects.update(file="")
    assert "The selected items have no files." in choose(client, "prepare_zip").content.decode()
    assert not ZipExport.objects.exists()


def test_exports_are_listed_cancelled_and_retried(client: Client, storage: CountingStorage) -> None:
    export = requested()
    assert client.get(EXPORTS).status_code == 200
    assert client.get(f"{EXPORTS}{export.pk}/change/").status_code == 200
    assert client.get(f"{EXPORTS}add/").status_code == 403
    form = {"action": "cancel_exports", "_selected_action": [str(export.pk)]}
    assert "Cancelled: 1" in client.post(EXPORTS, form, follow=True).content.decode()
    assert again(export).state == State.CANCELLED
    form["action"] = "retry_exports"
    assert "Requested again: 1" in client.post(EXPORTS, form, follow=True).content.decode()
    assert ZipExport.objects.filter(state=State.QUEUED).count() == 1
    User.objects.filter(username="ada").update(first_name="withdrawn")
    page = client.post(EXPORTS, form, follow=True).content.decode()
    assert "You may not have these files." in page
    assert "Requested again: 0" in page
    ZipExport.objects.update(arguments={"album": 7})
    page = client.post(EXPORTS, form, follow=True).content.decode()
    assert "unexpected keyword argument" in page


def test_who_may_only_look_can_neither_cancel_nor_retry(client: Client, chief: User) -> None:
    from django.contrib.auth.models import Permission

    User.objects.filter(pk=chief.pk).update(is_superuser=False)
    chief.user_permissions.add(Permission.objects.get(codename="view_zipexport"))
    requested()
    page = client.get(reverse("admin:zip_exports_zipexport_changelist")).content.decode()
    assert "archive.zip" in page
    assert "cancel_exports" not in page
