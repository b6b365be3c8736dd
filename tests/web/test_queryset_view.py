"""The view of a queryset: which rows are chosen, by whom, and what strangers learn."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.test import AsyncRequestFactory, Client, RequestFactory
from django.urls import path

from django_stream_zip.views import QuerySetZipDownloadView
from tests.models import (
    Attachment,
    Contract,
    Cover,
    Document,
    Folder,
    Picture,
    Scan,
    Sheet,
    Translation,
)
from tests.support.counting import CountingStorage
from tests.support.readers import assert_reads, read_zipfile
from tests.support.rows import KNOWN, content_of, make_document, make_known_document, make_picture

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

Assert = Callable[..., Any]


class All(QuerySetZipDownloadView):
    """All documents."""

    model = Document
    filename = "documents.zip"


class Chosen(All):
    """Only those that are asked for."""

    ids_param = "ids"


class Reversed(All):
    """Those of a queryset, which the class keeps, in an order of the view's."""

    queryset = Document.objects.exclude(title="hidden")
    model = None
    ordering = "-title"


class Own(LoginRequiredMixin, All):
    """Those of the user."""

    def get_queryset(self) -> QuerySet[Document]:
        return super().get_queryset().filter(owner=self.request.user)


class OwnChosen(Own):
    """Those of the user's that are asked for."""

    ids_param = "ids"


class Permitted(PermissionRequiredMixin, All):
    """For who may see them."""

    permission_required = "tests.view_document"
    raise_exception = True


class Attachments(All):
    """What is attached to one document, that the URL names."""

    file_fields = ("attachments__file",)

    def get_queryset(self) -> QuerySet[Document]:
        return super().get_queryset().filter(pk=self.kwargs["pk"])


class Pictures(QuerySetZipDownloadView):
    """A model with two file fields, ids by another name."""

    model = Picture
    file_fields = ("original", "thumbnail")
    ids_param = "picture"


class Selected(QuerySetZipDownloadView):
    """Rows of any model that are asked for."""

    ids_param = "ids"


class InFolder(Selected):
    """Rows of one folder, or with `?all` of any."""

    model = Document

    def get_queryset(self) -> QuerySet[Document]:
        rows = super().get_queryset()
        return rows if "all" in self.request.GET else rows.filter(folder=self.kwargs["folder"])


def latest() -> QuerySet[Document]:
    """Return of each title the row with the largest size, as a window says."""
    number = Window(RowNumber(), partition_by=F("title"), order_by=F("size").desc())
    return Document.objects.annotate(number=number).filter(number=1)


# What a filter by key must not reach into. Each has of the title "a" only the larger one.
PICKS: dict[str, Callable[[], QuerySet[Document]]] = {
    "slice": lambda: Document.objects.order_by("-size")[:2],
    "union": lambda: Document.objects.filter(size=3).union(Document.objects.filter(title="b")),
    "window": latest,
    "distinct": lambda: Document.objects.order_by("title", "-size").distinct("title"),
}


class Picked(Selected):
    """Rows of a queryset that can't be filtered just so."""

    kind = "slice"

    def get_queryset(self) -> QuerySet[Document]:
        return PICKS[self.kind]()


urlpatterns = [
    path("all", All.as_view()),
    path("all/empty", All.as_view(allow_empty=True)),
    path("known", All.as_view(member_options=KNOWN)),
    path("known/chosen", Chosen.as_view(member_options=KNOWN)),
    path("chosen", Chosen.as_view()),
    path("reversed", Reversed.as_view()),
    path("reversed/chosen", Reversed.as_view(ids_param="ids")),
    path("own", Own.as_view()),
    path("own/chosen", OwnChosen.as_view()),
    path("permitted", Permitted.as_view()),
    path("attachments/<int:pk>", Attachments.as_view()),
    path("pictures", Pictures.as_view()),
    path("scans", Selected.as_view(model=Scan)),
    path("contracts", Selected.as_view(model=Contract, file_fields=("file",))),
    path("covers", Selected.as_view(model=Cover)),
    path("sheets", Selected.as_view(model=Sheet)),
    path("translations", Selected.as_view(model=Translation)),
    path("folders/<int:folder>", InFolder.as_view()),
    path("slice", Picked.as_view()),
    path("union", Picked.as_view(kind="union")),
    path("window", Picked.as_view(kind="window")),
    path("distinct", Picked.as_view(kind="distinct")),
    path("nothing", QuerySetZipDownloadView.as_view()),
    path("two", Chosen.as_view(member_options={"limit": 2})),
    path("little", Chosen.as_view(member_options={"max_bytes": 24})),
    path("skipping", All.as_view(member_options={"missing": "skip"})),
]


@pytest.fixture
def documents(storage: CountingStorage) -> list[Document]:
    """Return three documents."""
    return [make_known_document(storage, title) for title in "abc"]


def ids_of(*rows: Any) -> dict[str, list[Any]]:
    return {"ids": [row.pk for row in rows]}


def asked(client: Client, method: str, url: str, data: dict[str, list[Any]]) -> Any:
    """Ask as somebody does who follows the redirection of a POST."""
    response = getattr(client, method)(url, data)
    if method == "post" and response.status_code != 404:
        assert response.status_code == 303
        response = client.get(urljoin(url, response.headers["Location"]))
    return response


def files_of(response: Any) -> dict[str, bytes]:
    assert response.status_code == 200, response.content
    return read_zipfile(response.getvalue())


# Which rows.


def test_without_ids_all_rows_are_given(client: Client, documents: list[Document]) -> None:
    response = client.get("/all")
    assert_reads(
        response.getvalue(),
        {"a.pdf": content_of("a"), "b.pdf": content_of("b"), "c.pdf": content_of("c")},
        only=["zipfile", "stream-unzip"],
    )
    assert response.headers["Content-Disposition"] == 'attachment; filename="documents.zip"'


@pytest.mark.parametrize("method", ["get", "post"])
def test_ids_choose_rows(client: Client, documents: list[Document], method: str) -> None:
    a, _, c = documents
    response = asked(client, method, "/chosen", ids_of(c, a))
    assert files_of(response) == {"a.pdf": content_of("a"), "c.pdf": content_of("c")}


def test_ids_that_are_given_twice_choose_once(client: Client, documents: list[Document]) -> None:
    pk = documents[0].pk
    response = client.get("/chosen", {"ids": [pk, pk, f"0{pk}"]})
    assert files_of(response) == {"a.pdf": content_of("a")}


def test_ids_may_be_called_otherwise(client: Client, storage: CountingStorage) -> None:
    first, _ = make_picture(storage, "x"), make_picture(storage, "y")
    files = files_of(client.get("/pictures", {"picture": first.pk}))
    assert files == {"x.jpg": b"original", "x-small.jpg": b"thumbnail"}


def test_ids_may_be_uuids(client: Client, storage: CountingStorage) -> None:
    storage.files |= {"a.jpg": b"a", "b.jpg": b"b"}
    scan, _ = Scan.objects.create(file="a.jpg"), Scan.objects.create(file="b.jpg")
    assert files_of(client.get("/scans", ids_of(scan))) == {"a.jpg": b"a"}
    assert files_of(client.get("/scans", {"ids": scan.pk.hex})) == {"a.jpg": b"a"}


def test_ids_may_be_those_of_a_child_model(client: Client, storage: CountingStorage) -> None:
    storage.files["contract.pdf"] = b"contract"
    contract, _ = (Contract.objects.create(file="contract.pdf") for _ in range(2))
    assert files_of(client.get("/contracts", ids_of(contract))) == {"contract.pdf": b"contract"}


def test_ids_may_be_those_of_related_rows_which_are_not_asked_for_one_by_one(
    client: Client, storage: CountingStorage, django_assert_max_num_queries: Assert
) -> None:
    storage.files["cover.jpg"] = b"cover"
    covers = [
        Cover.objects.create(folder=Folder.objects.create(name="f"), file="cover.jpg")
        for _ in range(10)
    ]
    with django_assert_max_num_queries(3):
        assert len(files_of(client.get("/covers", ids_of(*covers)))) == 10


def test_a_thousand_ids_fit_a_form(client: Client, storage: CountingStorage) -> None:
    storage.files["same.pdf"] = b"same"
    rows = Document.objects.bulk_create(Document(file="same.pdf") for _ in range(1000))
    assert len(files_of(asked(client, "post", "/chosen", ids_of(*rows)))) == 1000


def test_the_queries_are_as_many_for_one_id_as_for_many(
    client: Client, documents: list[Document], django_assert_num_queries: Assert
) -> None:
    for rows in (documents[:1], documents):
        with django_assert_num_queries(2):
            client.get("/known/chosen", ids_of(*rows))


def test_a_queryset_of_the_class_is_asked_anew_each_time(
    client: Client, storage: CountingStorage
) -> None:
    make_document(storage, "a")
    assert list(files_of(client.get("/reversed"))) == ["a.pdf"]
    make_document(storage, "b")
    hidden = make_document(storage, "hidden")
    assert list(files_of(client.get("/reversed"))) == ["b.pdf", "a.pdf"]
    assert client.get("/reversed/chosen", ids_of(hidden)).status_code == 404


def test_one_object_with_its_attachments_is_a_queryset_of_one(
    client: Client, storage: CountingStorage, documents: list[Document]
) -> None:
    for number, document in enumerate(documents[:2]):
        storage.files[f"{number}.jpg"] = b"attached"
        Attachment.objects.create(document=document, file=f"{number}.jpg")
    assert files_of(client.get(f"/attachments/{documents[1].pk}")) == {"1.jpg": b"attached"}


@pytest.mark.usefixtures("storage")
def test_no_rows_are_not_found_unless_an_empty_archive_is_wanted(client: Client) -> None:
    response = client.get("/all")
    assert response.status_code == 404
    assert b"22" not in response.content
    assert files_of(client.get("/all/empty")) == {}


def test_a_view_without_a_queryset_says_so(client: Client) -> None:
    with pytest.raises(ImproperlyConfigured, match="missing a QuerySet"):
        client.get("/nothing")


# Ids that are none.

BAD_IDS = {
    "text": "abc",
    "empty": "",
    "space": " ",
    "space before": " 1",
    "space behind": "1 ",
    "newline": "1\n",
    "fraction": "1.5",
    "whole fraction": "1.0",
    "exponent": "1e3",
    "plus": "+1",
    "hexadecimal": "0x1",
    "underscore": "1_0",
    "full-width": "\uff11",
    "superscript": "¹",
    "Arabic": "\u0661",
    "negative": "-1",
    "zero": "0",
    "none": "None",
    "null": "null",
    "true": "True",
    "not a number": "NaN",
    "comma": "1,2",
    "list": "[]",
    "list of one": "[1]",
    "list of many": "[1, 2, 3]",
    "list of a fraction": '[1.0, "de"]',
    "list of true": '[true, "de"]',
    "list of none": "[1, null]",
    "list of lists": '[[1], "de"]',
    "deep list": "[" * 5000,
    "object": '{"folder_id": 1, "language": "de"}',
    "SQL": "1 OR 1=1",
    "path": "../1",
    "NUL": "\0",
    "NUL behind": "s1\0",
    "NUL in a list": r'[1, "de\u0000"]',
    "surrogate in a list": r'[1, "\udc80"]',
    "beyond 32 bits": str(2**31),
    "the largest": str(2**63 - 1),
    "beyond 64 bits": str(2**63),
    "below 64 bits": str(-(2**63) - 1),
    "beyond 64 bits in a list": f'[{2**63}, "de"]',
    "long": "9" * 4000,
    "longer than Python reads": "9" * 5000,
    "longer than Python reads in a list": f'[{"9" * 5000}, "de"]',
    "longer than the column": "s1" + " " * 7,
    "surrogate": "\udc80",
    "no UTF-8": b"\xff",
    "emoji": "\U0001f4a9",
    "UUID": str(uuid.UUID(int=1)),
    "UUID with an underscore": "0" * 30 + "_1",
    "UUID in full width": "0" * 31 + "\uff11",
}


@pytest.fixture
def rows_of_all_kinds(storage: CountingStorage) -> None:
    """Make rows that a generous reading of an odd id would find."""
    storage.files["x"] = b"x"
    for pk in (1, 2, 3, 10):
        folder = Folder.objects.create(pk=pk)
        Contract.objects.create(pk=pk, file="x")
        Cover.objects.create(folder=folder, file="x")
    Scan.objects.create(pk=uuid.UUID(int=0x11), file="x")
    Sheet.objects.create(pk="s1", file="x")
    Translation.objects.create(folder_id=1, language="de", file="x")


URLS = ["/chosen", "/scans", "/contracts", "/covers", "/sheets", "/translations"]


@pytest.mark.usefixtures("rows_of_all_kinds")
@pytest.mark.parametrize("bad", BAD_IDS.values(), ids=BAD_IDS)
def test_what_is_no_id_is_not_found(client: Client, bad: Any) -> None:
    if bad == "\udc80":
        bad = bad.encode(errors="surrogatepass")
    for url in URLS:
        for method in ("get", "post"):
            assert getattr(client, method)(url, {"ids": bad}).status_code == 404, (url, method)


def test_one_id_that_is_none_spoils_the_others(client: Client, documents: list[Document]) -> None:
    assert client.get("/chosen", {"ids": [documents[0].pk, "nope"]}).status_code == 404
    assert client.get("/chosen", {"ids": [documents[0].pk, 999]}).status_code == 404


def test_without_ids_nothing_is_found_where_they_are_required(
    client: Client, documents: list[Document]
) -> None:
    for data in ({}, {"other": "1"}, {"ids[]": "1"}, {"id": "1"}, {"ids": ""}, {"IDS": "1"}):
        assert client.get("/chosen", data).status_code == 404
        assert client.post("/chosen", data).status_code == 404
    assert list(files_of(client.get("/chosen", ids_of(documents[1])))) == ["b.pdf"]


def test_a_view_of_all_rows_serves_them_whatever_is_asked(
    client: Client, documents: list[Document]
) -> None:
    for data in (ids_of(documents[0]), {"ids[]": "1"}, {"selection": "x"}):
        assert len(files_of(client.get("/all", data))) == 3
        assert client.post("/all", data).status_code == 405


def test_the_url_of_a_post_is_none_of_everything(client: Client, documents: list[Document]) -> None:
    assert client.post("/chosen", ids_of(documents[0])).status_code == 303
    assert client.get("/chosen").status_code == 404


def test_ids_may_be_texts_and_of_two_columns(
    client: Client, rows_of_all_kinds: None, storage: CountingStorage
) -> None:
    storage.files["y"] = b"y"
    odd = "ü'\"\\,%s"
    Sheet.objects.create(pk=odd, file="y")
    Translation.objects.create(folder_id=1, language=odd, file="y")
    for method in ("get", "post"):
        assert list(files_of(asked(client, method, "/sheets", {"ids": [odd]}))) == ["y"]
        assert list(files_of(asked(client, method, "/sheets", {"ids": [odd, "s1"]}))) == ["x", "y"]
        ids = [json.dumps([1, odd])]
        assert list(files_of(asked(client, method, "/translations", {"ids": ids}))) == ["y"]
        ids.append('["1", "de"]')
        assert len(files_of(asked(client, method, "/translations", {"ids": ids}))) == 2


@pytest.mark.parametrize("kind", PICKS)
def test_a_selection_is_of_what_the_queryset_picks(
    client: Client, storage: CountingStorage, kind: str
) -> None:
    if kind == "distinct" and connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL has it")
    small, large = (make_document(storage, "a", size=size) for size in (1, 3))
    other = make_document(storage, "b", size=2)
    assert len(files_of(client.get(f"/{kind}", ids_of(large, other)))) == 2
    assert list(files_of(client.get(f"/{kind}", ids_of(other)))) == ["b.pdf"]
    assert client.get(f"/{kind}", ids_of(small)).status_code == 404
    assert client.get(f"/{kind}", ids_of(small, large)).status_code == 404
    assert len(files_of(asked(client, "post", f"/{kind}", ids_of(large, other)))) == 2


def test_a_form_is_read_and_not_the_query_string_beside_it(
    client: Client, documents: list[Document]
) -> None:
    a, b, _ = documents
    assert list(files_of(asked(client, "post", f"/chosen?ids={a.pk}", ids_of(b)))) == ["b.pdf"]


# Others' rows.


@pytest.fixture
def owner(storage: CountingStorage) -> User:
    """Return a user with a document, beside one that is another's."""
    owner, other = (User.objects.create_user(name) for name in ("owner", "other"))
    make_document(storage, "own", owner=owner)
    make_document(storage, "another's", owner=other)
    return owner


def test_who_is_not_logged_in_is_sent_there(client: Client, owner: User) -> None:
    for response in (client.get("/own"), client.post("/own"), client.head("/own")):
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/accounts/login/")


def test_a_user_gets_what_is_the_users(client: Client, owner: User) -> None:
    client.force_login(owner)
    assert files_of(client.get("/own")) == {"own.pdf": content_of("own")}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("method", ["get", "post"])
def test_anothers_row_is_answered_as_one_that_is_not_there(
    client: Client, owner: User, settings: Any, method: str, debug: bool
) -> None:
    settings.DEBUG = debug
    client.force_login(owner)
    others, nobodys = Document.objects.get(title="another's"), Document(pk=123_456)
    answers = [getattr(client, method)("/own/chosen", ids_of(row)) for row in (others, nobodys)]
    assert [answer.status_code for answer in answers] == [404, 404]
    bodies = [answer.content.replace(b"123456", b"%d" % others.pk) for answer in answers]
    assert debug or bodies[0] == bodies[1]
    assert b"another" not in bodies[0]
    mixed = ids_of(Document.objects.get(title="own"), others)
    assert getattr(client, method)("/own/chosen", mixed).status_code == 404


def test_permissions_can_be_required(client: Client, storage: CountingStorage) -> None:
    make_document(storage, "a")
    user = User.objects.create_user("user")
    client.force_login(user)
    assert client.get("/permitted").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_document"))
    assert list(files_of(client.get("/permitted"))) == ["a.pdf"]


# Too much, too little.


@pytest.mark.parametrize("method", ["get", "post", "head"])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/two", "This download is limited to 2 files. Select fewer files."),
        ("/little", "This download is limited to 24\xa0bytes. Select fewer files."),
    ],
    ids=["members", "bytes"],
)
def test_a_download_over_a_limit_is_too_large(
    client: Client,
    documents: list[Document],
    caplog: pytest.LogCaptureFixture,
    url: str,
    reason: str,
    method: str,
) -> None:
    response = asked(client, method, url, ids_of(*documents))
    assert response.status_code == 413
    assert response.content.decode() == ("" if method == "head" else reason)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    a, b, _ = documents
    assert len(files_of(client.get(url, ids_of(a, b)))) == 2


def test_the_settings_limit_views_too(
    client: Client, documents: list[Document], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJANGO_STREAM_ZIP = {"MAX_MEMBERS": 2}
    assert client.get("/all").status_code == 413


@pytest.mark.parametrize("debug", [False, True])
def test_a_missing_file_is_not_found_and_its_path_is_not_told(
    client: Client, storage: CountingStorage, settings: Any, debug: bool
) -> None:
    settings.DEBUG = debug
    make_document(storage, "a")
    storage.files.clear()
    response = client.get("/all")
    assert response.status_code == 404
    assert b"secret" not in response.content


def test_a_missing_file_can_be_skipped(
    client: Client, documents: list[Document], storage: CountingStorage
) -> None:
    del storage.files["docs/b.pdf"]
    assert list(files_of(client.get("/skipping"))) == ["a.pdf", "c.pdf"]


# Ranges.


def test_a_selection_can_be_resumed(client: Client, documents: list[Document]) -> None:
    a, _, c = documents
    whole = client.get("/chosen", ids_of(a, c))
    archive, tag = whole.getvalue(), whole.headers["ETag"]
    assert len(archive) == int(whole.headers["Content-Length"])
    rest = client.get("/chosen", ids_of(c, a), headers={"Range": "bytes=50-", "If-Range": tag})
    assert rest.status_code == 206
    assert rest.getvalue() == archive[50:]


def test_another_selection_is_another_archive(client: Client, documents: list[Document]) -> None:
    a, b, _ = documents
    tag = client.get("/chosen", ids_of(a)).headers["ETag"]
    headers = {"Range": "bytes=50-", "If-Range": tag}
    assert client.get("/chosen", ids_of(a, b), headers=headers).status_code == 200
    assert client.get("/chosen", ids_of(a), headers={"If-None-Match": tag}).status_code == 304


def test_a_post_redirects_to_a_get_that_can_be_resumed(
    client: Client, documents: list[Document]
) -> None:
    a, _, c = documents
    response = client.post("/chosen", ids_of(c, a), headers={"Range": "bytes=50-"})
    assert response.status_code == 303
    link = urljoin("/chosen", response.headers["Location"])
    whole = client.get(link)
    archive, tag = whole.getvalue(), whole.headers["ETag"]
    assert archive == client.get("/chosen", ids_of(a, c)).getvalue()
    rest = client.get(link, headers={"Range": "bytes=50-", "If-Range": tag})
    assert rest.status_code == 206
    assert rest.getvalue() == archive[50:]


def test_head_chooses_as_get_does(client: Client, documents: list[Document]) -> None:
    chosen = ids_of(documents[0])
    response = client.head("/chosen", chosen)
    assert response.headers == client.get("/chosen", chosen).headers
    assert b"".join(response.streaming_content) == b""
    assert client.head("/chosen", {"ids": "nope"}).status_code == 404


def test_methods_that_are_there_are_named_by_options(client: Client) -> None:
    assert client.options("/chosen").headers["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert client.options("/all").headers["Allow"] == "GET, HEAD, OPTIONS"


def test_it_streams_under_asgi_too(storage: CountingStorage) -> None:
    document = make_known_document(storage, "a")
    request = AsyncRequestFactory().get("/known", {"ids": document.pk})
    response: Any = All.as_view(member_options=KNOWN)(request)

    async def body() -> bytes:
        return b"".join([block async for block in response])

    assert_reads(asyncio.run(body()), {"a.pdf": content_of("a")}, only=["zipfile"])


# Links.


def link_to(client: Client, url: str, *rows: Any) -> str:
    """Post ids, return the link."""
    response = client.post(url, ids_of(*rows))
    assert response.status_code == 303
    return urljoin(url, response.headers["Location"])


HOSTILE: dict[str, Callable[[str], str]] = {
    "empty": lambda token: "",
    "nonsense": lambda token: "nonsense",
    "colons": lambda token: "::",
    "signature": lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
    "content": lambda token: "A" + token,
    "no signature": lambda token: token.rpartition(":")[0],
    "no time": lambda token: token.split(":")[0] + ":" + token.split(":")[2],
    "another salt": lambda token: signing.dumps({"steps": [1]}),
    "NUL": lambda token: f"{token}%00",
    "no UTF-8": lambda token: f"{token}%ff",
    "emoji": lambda token: f"{token}\U0001f4a9",
    "surrogate": lambda token: f"{token}%ed%b2%80",
    "long": lambda token: token * 20,
    "list": lambda token: "[]",
    "bomb": lambda token: f".{'eJw' * 500}:1:x",
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_a_link_that_was_tampered_with_is_not_found(
    client: Client, documents: list[Document], spoil: Callable[[str], str]
) -> None:
    link = link_to(client, "/chosen", *documents)
    place, token = link.split("selection=")
    assert client.get(place + "selection=" + token).status_code == 200
    token = spoil(token.replace("%3A", ":"))
    assert client.get(f"{place}selection={token}").status_code == 404
    assert client.get(f"{place}selection={token}&ids={documents[0].pk}").status_code == 404


@pytest.mark.parametrize(("seconds", "status"), [(86_390, 200), (86_410, 404)])
def test_a_link_expires(
    client: Client,
    documents: list[Document],
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    status: int,
) -> None:
    link, then = link_to(client, "/chosen", *documents), time.time() + seconds
    monkeypatch.setattr(signing, "time", SimpleNamespace(time=lambda: then))
    assert client.get(link).status_code == status


def test_a_link_is_for_its_user(client: Client, documents: list[Document]) -> None:
    users = [User.objects.create_user(name) for name in ("one", "two")]
    client.force_login(users[0])
    link = link_to(client, "/chosen", *documents)
    nobodys = link_to(Client(), "/chosen", *documents)
    assert client.get(link).status_code == 200
    assert client.get(nobodys).status_code == 404
    assert Client().get(link).status_code == 404
    assert Client().get(nobodys).status_code == 200
    client.force_login(users[1])
    assert client.get(link).status_code == 404
    client.logout()
    client.force_login(users[0])
    assert client.get(link).status_code == 200


def test_a_link_is_for_its_url_and_model(client: Client, storage: CountingStorage) -> None:
    folders = [Folder.objects.create(name=name) for name in "ab"]
    document = make_document(storage, "a", folder=folders[0])
    url = f"/folders/{folders[0].pk}?all=1"
    link = link_to(client, url, document)
    assert "all=1" in link
    assert list(files_of(client.get(link))) == ["a.pdf"]
    elsewhere = link.replace(f"/{folders[0].pk}?", f"/{folders[1].pk}?")
    assert client.get(elsewhere).status_code == 404
    for url in ("/chosen", "/contracts", "/covers"):
        assert client.get(f"{url}?{link.partition('?')[2]}").status_code == 404


def test_a_row_that_is_withdrawn_is_not_found(client: Client, owner: User) -> None:
    client.force_login(owner)
    own = Document.objects.get(title="own")
    link = link_to(client, "/own/chosen", own)
    assert client.get(link).status_code == 200
    Document.objects.update(owner=User.objects.get(username="other"))
    assert client.get(link).status_code == 404


def test_a_path_that_looks_like_a_host_is_none(client: Client, documents: list[Document]) -> None:
    location = client.post("/chosen", ids_of(*documents)).headers["Location"]
    assert location.startswith("?selection=")


# Many rows.


@pytest.fixture
def a_hundred_thousand(storage: CountingStorage) -> list[int]:
    """Make so many rows with irregular keys; return the keys."""
    known = make_known_document(storage, "a")
    facts = {"size": known.size, "crc_32": known.crc_32, "uploaded_at": known.uploaded_at}
    keys = Random(7).sample(range(10**6, 10**9), 100_000)
    Document.objects.bulk_create(
        [Document(pk=key, title="x", file=known.file, **facts) for key in keys], batch_size=5000
    )
    return keys


@pytest.mark.slow
def test_a_hundred_thousand_ids_are_a_link(
    client: Client,
    a_hundred_thousand: list[int],
    settings: Any,
    django_assert_num_queries: Assert,
) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = None
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    body = "&".join(f"ids={key}" for key in a_hundred_thousand)
    kind = "application/x-www-form-urlencoded"
    # The rows are counted; a session that keeps the keys is looked for, and made in a savepoint.
    with django_assert_num_queries(1 + 4):
        response = client.post("/known/chosen", body, content_type=kind)
    assert response.status_code == 303
    link = urljoin("/known/chosen", response.headers["Location"])
    assert len(link) < 200
    # The session, the number of rows, the rows.
    with django_assert_num_queries(3):
        response = client.get(link, headers={"Range": "bytes=0-29"})
    assert response.status_code == 206
    total = int(response.headers["Content-Range"].rpartition("/")[2])
    assert total > 100_000 * 100
    Document.objects.filter(pk=a_hundred_thousand[0]).delete()
    assert client.get(link).status_code == 404


def test_more_fields_than_django_takes_are_a_bad_request(client: Client) -> None:
    body = "&".join(f"ids={key}" for key in range(100_000))
    kind = "application/x-www-form-urlencoded"
    assert client.post("/chosen", body, content_type=kind).status_code == 400
    ids = {"ids": list(range(1001))}
    assert client.post("/chosen", ids).status_code == 400


# Options.

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ids_required": True}, 'ids_required is gone: ids_param = "ids" requires ids'),
    ({"ids_required": False}, "ids_required is gone"),
    ({"ids_param": ""}, "ids_param must be a name or None, not ''"),
    ({"ids_param": True}, "ids_param must be a name or None, not True"),
    ({"ids_param": "selection"}, "the parameter of the URL that a POST redirects to"),
    ({"ids_param": "ids", "export_over": 1}, "the export_view would prepare all rows"),
    ({"paginate_by": 10}, "paginate_by has no effect"),
    ({"compress": "no"}, "compress must be True, False or None, not 'no'"),
    ({"filename": b"x.zip"}, "filename must be a name, not b'x.zip'"),
    ({"filename": None}, "filename must be a name, not None"),
    ({"password": 1234}, "password must be text or None, not 1234"),
    ({"selection_max_age": "1 day"}, "selection_max_age must be a number of seconds, 1 or more"),
    ({"selection_max_age": None}, "selection_max_age must be a number of seconds, 1 or more"),
    ({"selection_max_age": 0}, "selection_max_age must be a number of seconds, 1 or more"),
    ({"queryset": [1]}, r"queryset must be a QuerySet or None, not \[1\]"),
    ({"queryset": Document.objects}, "queryset must be a QuerySet or None, not <"),
    ({"file_fields": "file"}, r"file_fields must be a tuple: \('file',\)"),
    ({"file_fields": ("fil",)}, "tests.Document has no field 'fil'"),
    ({"file_fields": ("title",)}, "tests.Document.title is not a FileField"),
    ({"member_options": {"nme": "title"}}, "there is no option 'nme': did you mean 'name'"),
    ({"member_options": {"queryset": 1}}, "there is no option 'queryset'"),
    ({"member_options": {"name": "{titel}{ext}"}}, "no field 'titel'"),
    ({"member_options": {"name": "titel"}}, "no field 'titel'"),
    ({"member_options": {"size": "title"}}, "IntegerField"),
    ({"member_options": {"missing": "repot"}}, "missing must be one of raise, skip, report"),
    ({"member_options": {"limit": "5"}}, "limit must be a number of files, 0 or more, or None"),
    ({"member_options": {"max_bytes": 1e6}}, "max_bytes must be a number of bytes, 0 or more"),
    ({"member_options": {"compress": "no"}}, "compress must be True, False or None, not 'no'"),
    ({"member_options": [1]}, "options are wrong"),
    ({"model": Picture}, "say which file fields of tests.Picture"),
    ({"model": None, "queryset": Picture.objects.all()}, "say which file fields of tests.Picture"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_a_wrong_option_is_refused_when_the_view_is_made(
    options: dict[str, Any], words: str
) -> None:
    view = type("Wrong", (All,), dict(options))
    with pytest.raises(ImproperlyConfigured, match=f"^Wrong: .*{words}"):
        view.as_view()
    if "ids_required" not in options:
        with pytest.raises(ImproperlyConfigured, match=f"^All: .*{words}"):
            All.as_view(**options)


def test_a_selection_is_prepared_where_the_view_says(storage: CountingStorage) -> None:
    class Prepared(All):
        ids_param = "ids"
        export_over = 10

        def get_export_url(self) -> str:
            return f"/prepared?{self.request.GET.urlencode()}"

    make_known_document(storage, pk=7)
    response = Prepared.as_view()(RequestFactory().get("/?ids=7"))
    assert (response.status_code, response.headers["Location"]) == (302, "/prepared?ids=7")


def test_what_only_methods_know_is_not_refused() -> None:
    class Annotated(All):
        member_options = {"name": "{number}{ext}"}

        def get_queryset(self) -> QuerySet[Document]:
            return super().get_queryset().annotate(number=F("pk"))

    class Other(All):
        member_options = {"shelf": 5}

        def get_members(self) -> Any:
            return []

    queryset = Document.objects.annotate(number=F("pk"))
    for view in (Annotated, Other):
        assert view.as_view()
    assert All.as_view(queryset=queryset, member_options=Annotated.member_options)


def test_a_newline_in_a_stored_name_forges_no_line_of_the_log(
    client: Client, storage: CountingStorage, caplog: pytest.LogCaptureFixture
) -> None:
    make_document(storage, "a\nERROR forged")
    storage.files.clear()
    assert client.get("/all").status_code == 404
    [line] = [record for record in caplog.records if "is not found" in record.message]
    assert "\n" not in line.getMessage()
    assert line.args


def test_options_of_rows_may_be_properties() -> None:
    class Documents(QuerySetZipDownloadView):
        model = Document

        @property
        def file_fields(self) -> tuple[str, ...]:  # type: ignore[override]
            return ("file",)

        @property
        def member_options(self) -> dict[str, Any]:  # type: ignore[override]
            return {"missing": "skip"}

    assert Documents.as_view()
