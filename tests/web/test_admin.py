"""The admin action: what is selected, who may have it, for how long, and what is said instead."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any

import django
import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core import checks, signing
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.urls import reverse

from django_stream_zip.admin import ZipDownloadAdminMixin
from django_stream_zip.members.describe import PendingMember
from tests.models import Attachment, Document, Folder, Picture, Scan
from tests.support.admin_site import DocumentAdmin, site
from tests.support.counting import CountingStorage
from tests.support.readers import assert_reads, read_zipfile
from tests.support.rows import KNOWN, content_of, make_document, make_known_document, make_picture

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.support.admin_site"),
    pytest.mark.usefixtures("caplog"),
]

DOCUMENTS = "/admin/tests/document/"
NEEDS_61 = pytest.mark.skipif(
    django.VERSION < (6, 1), reason="actions of a single object came with Django 6.1"
)


@pytest.fixture
def documents(storage: CountingStorage) -> list[Document]:
    """Return four documents, more than a page of the list has."""
    folder = Folder.objects.create(name="folder")
    return [make_document(storage, title, folder=folder) for title in "abcd"]


@pytest.fixture
def root(db: None) -> Client:
    """Return the client of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def document_admin(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets attributes of the documents' admin, for this test."""

    def set_attributes(**values: Any) -> None:
        # Not `setattr`: that would leave the class's value with the instance, for all other tests.
        for name, value in values.items():
            monkeypatch.setitem(vars(site.get_model_admin(Document)), name, value)

    return set_attributes


def staff(*permissions: str) -> Client:
    """Return the client of a member of the staff with these permissions."""
    user = User.objects.create_user(f"user-{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def run_action(
    client: Client, *rows: Any, url: str = DOCUMENTS, across: bool = False, **options: Any
) -> Any:
    """Run the action on the rows that are ticked."""
    form = {
        "action": "download_as_zip",
        "_selected_action": [row.pk for row in rows],
        "select_across": int(across),
        "index": 0,
    }
    return client.post(url, form, **options)


def link_to(client: Client, *rows: Any, **options: Any) -> str:
    """Run the action, give what it redirects to."""
    response = run_action(client, *rows, **options)
    assert response.status_code == 302
    location: str = response.headers["Location"]
    return location


def files_of(response: Any) -> dict[str, bytes]:
    assert response.status_code == 200, response.content
    return read_zipfile(response.getvalue())


def messages_of(response: Any) -> list[str]:
    """Return what the page says on its top."""
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


# The archive.


def test_the_selected_rows_are_downloaded_with_a_single_click(
    root: Client, documents: list[Document]
) -> None:
    response = run_action(root, documents[2], documents[0], follow=True)
    assert [status for _, status in response.redirect_chain] == [302]
    assert_reads(
        response.getvalue(),
        {"a.pdf": content_of("a"), "c.pdf": content_of("c")},
        only=["zipfile", "stream-unzip"],
    )
    assert 'filename="Documents.zip"' in response.headers["Content-Disposition"]


def test_the_download_can_be_resumed(root: Client, documents: list[Document]) -> None:
    link = link_to(root, *documents)
    whole = root.get(link)
    archive, tag = whole.getvalue(), whole.headers["ETag"]
    assert int(whole.headers["Content-Length"]) == len(archive)
    rest = root.get(link, headers={"Range": "bytes=70-", "If-Range": tag})
    assert rest.status_code == 206
    assert rest.getvalue() == archive[70:]
    assert root.head(link).headers["ETag"] == tag
    assert root.get(link, headers={"If-None-Match": tag}).status_code == 304


def test_all_that_is_filtered_can_be_selected_across_pages(
    root: Client, documents: list[Document], storage: CountingStorage
) -> None:
    make_document(storage, "elsewhere")
    url = f"{DOCUMENTS}?folder__id__exact={documents[0].folder_id}"
    link = link_to(root, documents[0], url=url, across=True)
    assert list(files_of(root.get(link))) == ["a.pdf", "b.pdf", "c.pdf", "d.pdf"]


def test_what_the_admin_is_told_is_done(root: Client, storage: CountingStorage) -> None:
    picture = make_picture(storage, "photo", position=3)
    response = run_action(root, picture, url="/admin/tests/picture/", follow=True)
    assert files_of(response) == {"3-original.jpg": b"original", "3-thumbnail.jpg": b"thumbnail"}
    assert 'filename="photos.zip"' in response.headers["Content-Disposition"]


def test_rows_without_files_are_left_out(root: Client, storage: CountingStorage) -> None:
    pictures = [
        Picture.objects.create(),
        make_picture(storage, "x", position=2),
        Picture.objects.create(thumbnail="y.jpg", position=1),
    ]
    storage.files["y.jpg"] = b"y"
    response = run_action(root, *pictures, url="/admin/tests/picture/", follow=True)
    assert list(files_of(response)) == ["2-original.jpg", "2-thumbnail.jpg", "1-thumbnail.jpg"]


def test_a_missing_file_is_reported_in_the_archive(
    root: Client, documents: list[Document], storage: CountingStorage
) -> None:
    del storage.files["docs/b.pdf"]
    files = files_of(run_action(root, *documents[:2], follow=True))
    assert list(files) == ["a.pdf", "MISSING.txt"]
    assert b"b.pdf: not found" in files["MISSING.txt"]
    assert b"secret" not in files["MISSING.txt"]


def test_a_missing_file_can_be_a_404(root: Client, storage: CountingStorage) -> None:
    picture = make_picture(storage, "photo")
    storage.files.clear()
    response = run_action(root, picture, url="/admin/tests/picture/", follow=True)
    assert response.status_code == 404
    assert b"secret" not in response.content


def test_a_file_that_is_missing_when_members_are_described_is_a_404(
    root: Client, documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> Any:
        raise FileNotFoundError(2, "No such file", "/srv/secret/b.pdf")

    def members(*_: Any) -> list[Any]:
        return [PendingMember(gone)]

    monkeypatch.setattr(ZipDownloadAdminMixin, "get_zip_members", members)
    response = run_action(root, *documents[:2], follow=True)
    assert response.status_code == 404
    assert b"secret" not in response.content


# What is said instead.


def test_over_the_limit_there_is_a_message(
    root: Client, documents: list[Document], document_admin: Callable[..., None]
) -> None:
    document_admin(zip_limit=2)
    response = run_action(root, *documents, follow=True)
    assert messages_of(response) == [
        "You selected 4 items, but only 2 items can be downloaded at a time."
    ]
    assert len(files_of(run_action(root, *documents[:2], follow=True))) == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"MAX_MEMBERS": 3}, "This download is limited to 3 files. Select fewer files."),
        ({"MAX_BYTES": 30}, "This download is limited to 30\xa0bytes. Select fewer files."),
    ],
    ids=["members", "bytes"],
)
def test_over_a_limit_of_the_settings_there_is_a_message(
    root: Client,
    documents: list[Document],
    settings: Any,
    setting: dict[str, int],
    message: str,
) -> None:
    settings.DJANGO_STREAM_ZIP = setting
    assert messages_of(run_action(root, *documents, follow=True)) == [message]


def test_more_related_files_than_the_limit_are_a_message(
    root: Client,
    documents: list[Document],
    storage: CountingStorage,
    document_admin: Callable[..., None],
) -> None:
    document_admin(zip_limit=2, zip_file_fields=("attachments__file",))
    for number in range(3):
        storage.files[f"{number}.jpg"] = b"x"
        Attachment.objects.create(document=documents[0], file=f"{number}.jpg")
    response = run_action(root, documents[0], follow=True)
    assert messages_of(response) == ["This download is limited to 2 files. Select fewer files."]


def test_the_limit_of_the_options_is_known_before_the_redirect(
    root: Client, documents: list[Document], document_admin: Callable[..., None]
) -> None:
    document_admin(zip_options={"limit": 2})
    response = run_action(root, *documents, follow=True)
    text = "You selected 4 items, but only 2 items can be downloaded at a time."
    assert messages_of(response) == [text]


def test_more_rows_than_the_database_can_look_up_are_a_message(
    root: Client, documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_to(root, *documents)
    monkeypatch.setattr(connection, "vendor", "another")
    monkeypatch.setattr(type(connection.features), "max_query_params", 2)
    text = "You selected 4 items, but only 2 items can be downloaded at a time."
    assert messages_of(root.get(link, follow=True)) == [text]


def test_without_files_there_is_a_message(root: Client, storage: CountingStorage) -> None:
    row = make_document(storage, "a", file="")
    response = run_action(root, row, follow=True)
    assert messages_of(response) == ["The selected items have no files."]


def test_without_a_selection_the_admin_says_so_itself(
    root: Client, documents: list[Document]
) -> None:
    [message] = messages_of(run_action(root, follow=True))
    assert message.startswith("Items must be selected")


# Who may.


def test_who_may_view_may_download(documents: list[Document]) -> None:
    client = staff("view_document")
    assert len(files_of(run_action(client, *documents, follow=True))) == 4


def test_who_may_not_view_has_no_list_and_no_download(
    root: Client, documents: list[Document]
) -> None:
    client = staff("view_scan")
    assert run_action(client, *documents).status_code == 403
    assert client.get(link_to(root, *documents)).status_code == 403


def test_who_may_no_longer_view_may_no_longer_download(documents: list[Document]) -> None:
    client = staff("view_document")
    link = link_to(client, *documents)
    assert client.get(link).status_code == 200
    User.objects.get().user_permissions.clear()
    assert client.get(link).status_code == 403


def test_the_permission_can_be_another(
    documents: list[Document], document_admin: Callable[..., None]
) -> None:
    client = staff("view_document", "delete_document")
    link = link_to(client, *documents)
    assert "download_as_zip" in client.get(DOCUMENTS).content.decode()
    document_admin(has_zip_download_permission=lambda request: request.user.is_superuser)
    assert "download_as_zip" not in client.get(DOCUMENTS).content.decode()
    assert messages_of(run_action(client, *documents, follow=True)) == ["No action selected."]
    assert client.get(link).status_code == 403


def test_who_is_not_logged_in_is_sent_there(root: Client, documents: list[Document]) -> None:
    link = link_to(root, *documents)
    for client in (Client(), logged_in_but_no_staff()):
        response = client.get(link)
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/admin/login/?next=/admin/tests/")


def logged_in_but_no_staff() -> Client:
    client = Client()
    client.force_login(User.objects.create_user("visitor"))
    return client


def test_a_link_is_for_the_user_who_made_it(root: Client, documents: list[Document]) -> None:
    link = link_to(staff("view_document"), *documents)
    assert staff("view_document").get(link).status_code == 403
    assert root.get(link).status_code == 403


def test_a_link_is_for_its_model(root: Client, storage: CountingStorage) -> None:
    document, scan = make_document(storage, "a"), Scan.objects.create(file="scan.jpg")
    picture = make_picture(storage, "photo", id=document.pk)
    token = link_to(root, document).split("/")[-2]
    assert root.get(f"/admin/tests/picture/zip/{token}/").status_code == 403
    assert picture.pk == document.pk != scan.pk


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"), id="signature"),
        pytest.param(lambda token: "A" + token, id="content"),
        pytest.param(lambda token: token.rpartition(":")[0], id="no signature"),
        pytest.param(lambda token: "nonsense", id="nonsense"),
        pytest.param(lambda token: signing.dumps({"pks": ["1"]}), id="another salt"),
        pytest.param(lambda token: "::", id="colons"),
        pytest.param(lambda token: "%00%F0%9F%92%A9", id="no text"),
    ],
)
def test_a_link_that_was_tampered_with_is_forbidden(
    root: Client, documents: list[Document], spoil: Callable[[str], str]
) -> None:
    token = link_to(root, *documents).split("/")[-2]
    assert root.get(f"{DOCUMENTS}zip/{spoil(token)}/").status_code == 403


@pytest.mark.parametrize(("seconds", "status"), [(86_390, 200), (86_410, 403)])
def test_a_link_expires(
    root: Client,
    documents: list[Document],
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    status: int,
) -> None:
    link, then = link_to(root, *documents), time.time() + seconds
    monkeypatch.setattr(signing, "time", SimpleNamespace(time=lambda: then))
    assert root.get(link).status_code == status


def test_rows_that_are_gone_are_not_found(root: Client, documents: list[Document]) -> None:
    link = link_to(root, *documents)
    documents[0].delete()
    assert root.get(link).status_code == 404


def test_rows_that_the_user_may_no_longer_see_are_not_found(
    root: Client, documents: list[Document], document_admin: Callable[..., None]
) -> None:
    link = link_to(root, *documents)
    document_admin(get_queryset=lambda request: Document.objects.filter(~Q(title="a")))
    assert root.get(link).status_code == 404


# The log.


@pytest.mark.parametrize("wanted", [False, True])
def test_the_log_tells_who_downloaded_what_where_it_is_wanted(
    root: Client, documents: list[Document], document_admin: Callable[..., None], wanted: bool
) -> None:
    document_admin(zip_log_entries=wanted)
    link_to(root, *documents[:2])
    entries = LogEntry.objects.order_by("object_repr")
    assert [entry.object_repr for entry in entries] == (["a", "b"] if wanted else [])
    for entry in entries:
        assert entry.user.get_username() == "root"
        assert entry.action_flag == CHANGE
        assert entry.get_change_message() == "Downloaded as ZIP."


def test_what_has_no_file_is_not_in_the_log(
    root: Client, storage: CountingStorage, document_admin: Callable[..., None]
) -> None:
    document_admin(zip_log_entries=True)
    rows = [make_document(storage, "a"), make_document(storage, "b", file="")]
    link_to(root, *rows)
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["a"]


# Large selections.


def scatter(number: int, **fields: Any) -> None:
    """Make rows whose primary keys are too irregular for a URL."""
    pks = Random(number).sample(range(10**6, 10**9), number)
    Document.objects.bulk_create(Document(pk=pk, **fields) for pk in pks)


SESSIONS = [
    "django.contrib.sessions.backends.db",
    "django.contrib.sessions.backends.cached_db",
    "django.contrib.sessions.backends.cache",
    "django.contrib.sessions.backends.signed_cookies",
]


@pytest.fixture(params=SESSIONS, ids=lambda engine: engine.rpartition(".")[2])
def many(
    request: pytest.FixtureRequest,
    settings: Any,
    storage: CountingStorage,
    document_admin: Callable[..., None],
) -> tuple[Client, str]:
    """Return a client and its link to 1,500 rows, with each of the places to keep them."""
    settings.SESSION_ENGINE = request.param
    document_admin(zip_options=KNOWN)
    known = make_known_document(storage, "a")
    facts = {"size": known.size, "crc_32": known.crc_32, "uploaded_at": known.uploaded_at}
    scatter(1499, file=known.file, **facts)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client, link_to(client, known, across=True)


def test_a_large_selection_is_kept_and_can_be_resumed(many: tuple[Client, str]) -> None:
    client, link = many
    assert len(link) < 300
    whole = client.get(link)
    archive, tag = whole.getvalue(), whole.headers["ETag"]
    assert len(read_zipfile(archive)) == 1500
    rest = client.get(link, headers={"Range": "bytes=100000-", "If-Range": tag})
    assert rest.getvalue() == archive[100_000:]


def test_a_large_selection_survives_a_new_login_and_is_for_no_other_user(
    many: tuple[Client, str],
) -> None:
    client, link = many
    client.logout()
    client.force_login(User.objects.get(username="root"))
    assert client.get(link).status_code == 200
    assert staff("view_document").get(link).status_code == 403


def test_a_selection_that_is_lost_is_forbidden(
    settings: Any, storage: CountingStorage, root: Client
) -> None:
    row = make_document(storage, "a")
    scatter(1500, file=row.file)
    kept = set(Session.objects.values_list("pk", flat=True))
    link = link_to(root, row, across=True)
    Session.objects.exclude(pk__in=kept).delete()
    assert root.get(link).status_code == 403


def test_a_kept_selection_is_no_session_of_anybody(storage: CountingStorage, root: Client) -> None:
    row = make_document(storage, "a")
    scatter(1500, file=row.file)
    kept = set(Session.objects.values_list("pk", flat=True))
    link_to(root, row, across=True)
    [key] = Session.objects.exclude(pk__in=kept).values_list("pk", flat=True)
    thief = Client()
    thief.cookies["sessionid"] = key
    assert thief.get(DOCUMENTS).status_code == 302


def test_what_is_kept_of_one_user_is_bounded(
    storage: CountingStorage, root: Client, document_admin: Callable[..., None]
) -> None:
    document_admin(zip_options=KNOWN)
    row = make_known_document(storage, "a")
    facts = {"size": row.size, "crc_32": row.crc_32, "uploaded_at": row.uploaded_at}
    scatter(1500, file=row.file, **facts)
    kept = Session.objects.count()
    links = []
    for _ in range(10):
        Document.objects.last().delete()  # type: ignore[union-attr]
        links.append(link_to(root, row, across=True))
    assert len({*links}) == 10
    assert Session.objects.count() == kept + 1
    link_to(root, row, across=True)  # the same again takes no other's place
    newest = [root.get(link).status_code for link in links]
    assert newest[:2] == [403, 403]
    assert root.get(links[-1]).status_code == 200


def test_rows_beyond_the_variables_of_the_database_are_selected(
    root: Client,
    storage: CountingStorage,
    document_admin: Callable[..., None],
    django_assert_max_num_queries: Any,
    request: pytest.FixtureRequest,
) -> None:
    document_admin(zip_options=KNOWN)
    row = make_known_document(storage, "a")
    facts = {"size": row.size, "crc_32": row.crc_32, "uploaded_at": row.uploaded_at}
    connection.ensure_connection()
    # Of which SQLite has 32,766 (or 250,000) otherwise: as many rows take their time.
    limit = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1000)
    request.addfinalizer(
        partial(connection.connection.setlimit, sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, limit)
    )
    scatter(2000, file=row.file, **facts)
    link = link_to(root, row, across=True)
    # Who it is and the session of the selection; then the number of rows, and the rows.
    with django_assert_max_num_queries(6):
        response = root.get(link, headers={"Range": "bytes=0-9"})
    assert response.status_code == 206
    assert int(response.headers["Content-Range"].rpartition("/")[2]) > 2000 * 100


# Options.


def test_a_method_names_the_members(documents: list[Document]) -> None:
    def name(self: Any, request: Any, instance: Document, stored_name: str) -> str:
        return f"{request.user.username}/{instance.title}-{stored_name}"

    monkeyed = {"get_zip_member_name": name, "zip_options": {"missing": "raise"}}
    modeladmin = type("Named", (DocumentAdmin,), monkeyed)(Document, site)
    assert modeladmin.check() == []
    request: Any = SimpleNamespace(user=SimpleNamespace(username="root"))
    members = modeladmin.get_zip_members(request, Document.objects.filter(title="a"))
    assert [member[0] for member in members] == [f"root/a-{documents[0].file.name}"]
    monkeyed["zip_options"] = {"name": "title"}
    [message] = type("Twice", (DocumentAdmin,), monkeyed)(Document, site).check()
    assert "get_zip_member_name names members" in message.msg


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"zip_file_fields": "file"}, "'zip_file_fields' is wrong: it must be a tuple"),
        ({"zip_file_fields": ("fil",)}, "no field 'fil'"),
        ({"zip_options": {"nme": "title"}}, "no option 'nme': did you mean 'name'?"),
        ({"zip_options": {"name": "{titel}"}}, "no field 'titel'"),
        ({"zip_options": {"missing": "repot"}}, "missing must be one of"),
        ({"zip_options": ["missing"]}, "'zip_options' is wrong"),
        ({"zip_limit": "5"}, "'zip_limit' is wrong: it must be a number"),
        ({"zip_limit": 0}, "1 or more"),
        ({"zip_compress": "no"}, "'zip_compress' is wrong: it must be True, False or None"),
        ({"zip_link_max_age": None}, "a number of seconds"),
        ({"zip_filename": 5}, "a name or None"),
    ],
)
def test_a_wrong_option_is_found_by_the_checks(options: dict[str, Any], words: str) -> None:
    wrong = type("Wrong", (DocumentAdmin,), options)(Document, site)
    [message] = wrong.check()
    assert message.id == "django_stream_zip.E004"
    assert words in message.msg


def test_the_mixin_behind_model_admin_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="put ZipDownloadAdminMixin before ModelAdmin"):
        type("Behind", (admin.ModelAdmin, ZipDownloadAdminMixin), {})


# Where the action is.


def choices_of(client: Client, url: str) -> list[str]:
    """Return the names of the actions that a page offers."""
    response = client.get(url)
    assert response.status_code == 200
    form = response.context["action_form"]
    return [name for name, _ in form.fields["action"].choices] if form else []


def test_the_action_is_offered_in_words(root: Client, documents: list[Document]) -> None:
    [label] = [
        label
        for name, label in root.get(DOCUMENTS).context["action_form"].fields["action"].choices
        if name == "download_as_zip"
    ]
    assert label == "Download selected documents as ZIP"


@pytest.mark.parametrize(
    ("model", "times"), [("document", 1), ("picture", 1), ("scan", 1), ("attachment", 0)]
)
def test_the_action_is_offered_once_or_where_there_are_no_actions_not(
    root: Client, documents: list[Document], storage: CountingStorage, model: str, times: int
) -> None:
    make_picture(storage, "photo")
    Scan.objects.create(file="scan.jpg")
    Attachment.objects.create(document=documents[0], file="a.jpg")
    choices = choices_of(root, f"/admin/tests/{model}/")
    assert choices.count("download_as_zip") == times


def test_other_actions_stay_and_no_other_admin_has_this_one(
    root: Client, storage: CountingStorage
) -> None:
    make_picture(storage, "photo")
    assert {"delete_selected", "other"} < {*choices_of(root, "/admin/tests/picture/")}
    assert "download_as_zip" not in DocumentAdmin.actions
    assert "download_as_zip" not in dict(site.actions)


def test_system_checks_have_nothing_to_say() -> None:
    assert checks.run_checks() == []
    for model_admin in site._registry.values():
        assert model_admin.check() == []


def test_the_url_has_a_name() -> None:
    assert reverse("admin:tests_document_zip", args=["x"]) == f"{DOCUMENTS}zip/x/"


# The change form, since Django 6.1.


def run_on_form(client: Client, row: Any, **options: Any) -> Any:
    url = f"/admin/tests/{row._meta.model_name}/{row.pk}/change/"
    form = {"CHANGE_FORM-action": "download_as_zip", "_selected_action": row.pk}
    return client.post(url, form, **options)


@NEEDS_61
def test_a_single_object_is_downloaded_from_its_form(
    root: Client, documents: list[Document]
) -> None:
    page = root.get(f"{DOCUMENTS}{documents[1].pk}/change/")
    assert "download_as_zip" in page.content.decode()
    response = run_on_form(root, documents[1], follow=True)
    assert files_of(response) == {"b.pdf": content_of("b")}


@NEEDS_61
def test_on_the_form_nothing_is_called_selected(root: Client, documents: list[Document]) -> None:
    page = root.get(f"{DOCUMENTS}{documents[1].pk}/change/")
    choices = dict(page.context["action_form"].fields["action"].choices)
    assert choices["download_as_zip"] == "Download document as ZIP"


@NEEDS_61
def test_on_the_form_there_are_messages_too(root: Client, storage: CountingStorage) -> None:
    row = make_document(storage, "a", file="")
    response = run_on_form(root, row, follow=True)
    assert messages_of(response) == ["The selected items have no files."]


@NEEDS_61
def test_the_plain_function_works_on_the_form(root: Client, storage: CountingStorage) -> None:
    storage.files["scan.jpg"] = b"scan"
    scan = Scan.objects.create(file="scan.jpg")
    assert files_of(run_on_form(root, scan)) == {"scan.jpg": b"scan"}


@NEEDS_61
def test_who_may_only_view_downloads_from_the_form(documents: list[Document]) -> None:
    response = run_on_form(staff("view_document"), documents[0], follow=True)
    assert files_of(response) == {"a.pdf": content_of("a")}


# The plain function.

SCANS = "/admin/tests/scan/"


@pytest.fixture
def scans(storage: CountingStorage) -> list[Scan]:
    """Return two scans."""
    storage.files |= {"1.jpg": b"one", "2.jpg": b"two"}
    return [Scan.objects.create(file=f"{number}.jpg") for number in (1, 2)]


def test_the_plain_function_answers_with_the_archive(root: Client, scans: list[Scan]) -> None:
    response = run_action(root, *scans, url=SCANS)
    assert files_of(response) == {"1.jpg": b"one", "2.jpg": b"two"}
    assert 'filename="Scans.zip"' in response.headers["Content-Disposition"]


def test_the_plain_function_reads_the_options_of_the_admin(
    root: Client, scans: list[Scan], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_admin = site.get_model_admin(Scan)
    options = {"zip_filename": "x.zip", "zip_file_fields": ("file",), "zip_limit": 1}
    for name, value in {**options, "zip_options": {"name": "{field}{ext}"}}.items():
        monkeypatch.setattr(scan_admin, name, value, raising=False)
    response = run_action(root, scans[0], url=SCANS)
    assert files_of(response) == {"file.jpg": b"one"}
    assert 'filename="x.zip"' in response.headers["Content-Disposition"]
    response = run_action(root, *scans, url=SCANS, follow=True)
    assert messages_of(response) == ["This download is limited to 1 file. Select fewer files."]


@pytest.mark.parametrize(("compress", "is_smaller"), [(None, True), (True, True), (False, False)])
def test_the_action_and_the_plain_function_pass_on_whether_files_are_compressed(
    root: Client,
    storage: CountingStorage,
    document_admin: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    compress: bool | None,
    is_smaller: bool,
) -> None:
    storage.files["1.txt"] = b"1" * 5000
    document_admin(zip_compress=compress)
    monkeypatch.setattr(site.get_model_admin(Scan), "zip_compress", compress, raising=False)
    document = make_document(storage, "2", file="2.txt")
    storage.files["2.txt"] = b"2" * 5000
    plain = run_action(root, Scan.objects.create(file="1.txt"), url=SCANS)
    linked = run_action(root, document, follow=True)
    for response in (plain, linked):
        assert ("Content-Length" in response.headers) is not is_smaller
        assert (len(b"".join(response.streaming_content)) < 5000) is is_smaller


def test_the_plain_function_reports_what_is_missing(
    root: Client, scans: list[Scan], storage: CountingStorage
) -> None:
    del storage.files["1.jpg"]
    files = files_of(run_action(root, *scans, url=SCANS))
    assert list(files) == ["2.jpg", "MISSING.txt"]


def test_the_plain_function_does_not_fail_where_a_missing_file_is_to_raise(
    root: Client,
    scans: list[Scan],
    storage: CountingStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"missing": "raise"}
    monkeypatch.setattr(site.get_model_admin(Scan), "zip_options", options, raising=False)
    storage.files.clear()
    response = run_action(root, *scans, url=SCANS, follow=True)
    assert response.status_code in {200, 404}
    assert b"secret" not in response.content


def test_the_plain_function_says_when_there_are_no_files(
    root: Client, storage: CountingStorage
) -> None:
    scan = Scan.objects.create(file="")
    response = run_action(root, scan, url=SCANS, follow=True)
    assert messages_of(response) == ["The selected items have no files."]


def test_the_plain_function_is_for_who_may_view(scans: list[Scan]) -> None:
    assert len(files_of(run_action(staff("view_scan"), *scans, url=SCANS))) == 2
    assert run_action(staff("view_document"), *scans, url=SCANS).status_code == 403
