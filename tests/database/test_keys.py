"""Ids of rows whose primary keys are of other kinds than numbers, and what is typed instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from urllib.parse import urljoin
from uuid import UUID

import pytest
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.db import models
from django.db.models.functions import Lower
from django.test import Client
from django.urls import path

from django_stream_zip import selection
from django_stream_zip.views import QuerySetZipDownloadView
from tests.models import Document
from tests.support.counting import CountingStorage
from tests.support.readers import read_zipfile
from tests.support.rows import make_document

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

Key: TypeAlias = "models.Field[Any, Any]"

# A field for each kind, and keys of rows, with the ids that stand for them.
KINDS: dict[str, tuple[Key, dict[Any, str]]] = {
    "duration": (
        models.DurationField(primary_key=True),
        {
            timedelta(days=1, seconds=3, microseconds=5): "1 00:00:03.000005",
            timedelta(days=-1, seconds=3): "-1 00:00:03",
            timedelta(0): "0",
        },
    ),
    "binary": (
        models.BinaryField(primary_key=True, max_length=9),
        {b"\0\xff": "AP8=", b"b'x'": "Yid4Jw=="},
    ),
    "decimal": (
        models.DecimalField(primary_key=True, max_digits=10, decimal_places=3),
        {Decimal("1.1"): "1.1", Decimal(2): "2.000"},
    ),
    "float": (models.FloatField(primary_key=True), {0.1: "0.1", 1e300: "1e300", -2.0: "-2"}),
    "date": (models.DateField(primary_key=True), {date(2020, 1, 2): "2020-01-02"}),
    "datetime": (
        models.DateTimeField(primary_key=True),
        {
            datetime(2020, 1, 2, 3, 4, 5, 678, UTC): "2020-01-02T05:04:05.000678+02:00",
            datetime(2021, 1, 2, 3, 4, tzinfo=UTC): "2021-01-02 03:04",
        },
    ),
    "time": (models.TimeField(primary_key=True), {time(1, 2, 3, 4): "01:02:03.000004"}),
    "boolean": (models.BooleanField(primary_key=True), {True: "True", False: "False"}),
    "address": (
        models.GenericIPAddressField(primary_key=True),
        {"10.0.0.1": "10.0.0.1", "2001:db8::1": "2001:DB8:0::1"},
    ),
    "text": (models.TextField(primary_key=True), dict.fromkeys(["ü", "a\nb", " x ", "x" * 3000])),
    "uuid": (models.UUIDField(primary_key=True), {UUID(int=3): str(UUID(int=3))}),
    # What their validators would refuse today, older rows may have.
    "choice": (
        models.CharField(primary_key=True, max_length=9, choices=[("new", "")]),
        dict.fromkeys(["new", "old"]),
    ),
    "slug": (models.SlugField(primary_key=True), dict.fromkeys(["a-b", "no slug!"])),
}

HOSTILE = [
    *("nan", "inf", "-inf", "1e999", "NaN", "1e5000000", "-0", "1" * 400, "9" * 23, "1_0", "0x"),
    *("999999999999999 days", "P9999999999999999D", "-999999999 00:00:00", "99999:99:99"),
    *("0001-01-01 00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01", "9999-12-31"),
    *("10000-01-01", "24:00", "::ffff:1", "fe80::1%eth0", "1.2.3", "{}", "[]", "=", "AA==", "é"),
    *("True", "\0", "", " "),
]


def _model(kind: str, field: Key) -> type[models.Model]:
    body = {"__module__": __name__, "key": field, "file": models.FileField()}
    return type(f"KeyOf{kind.title()}", (models.Model,), body)


MODELS = {kind: _model(kind, field) for kind, (field, _) in KINDS.items()}


def lowered() -> models.QuerySet[Document]:
    return Document.objects.annotate(lower=Lower("title"))


ROWS: dict[str, Callable[[], Any]] = {
    "ordered": lambda: lowered().filter(title="a").union(lowered()).order_by("-lower"),
    "list": lambda: list(Document.objects.all()),
    "manager": lambda: Document.objects,
    "raw": lambda: Document.objects.raw("SELECT * FROM tests_document"),
}


class Chosen(QuerySetZipDownloadView):
    """Rows that are asked for."""

    ids_param = "ids"
    kind = ""

    def get_queryset(self) -> Any:
        return ROWS[self.kind]() if self.kind else super().get_queryset()


urlpatterns = [
    *[path(kind, Chosen.as_view(model=model)) for kind, model in MODELS.items()],
    *[path(f"rows/{kind}", Chosen.as_view(kind=kind)) for kind in ROWS],
    path("documents", Chosen.as_view(model=Document)),
]


@pytest.fixture
def rows(storage: CountingStorage) -> None:
    """Make a row for each key."""
    for kind, (_, keys) in KINDS.items():
        for key in keys:
            storage.files["f"] = b"x"
            MODELS[kind]._default_manager.create(pk=key, file="f")


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1500, 0], ids=["in the URL", "kept"])
def test_ids_may_be_of_any_kind(
    client: Client, kind: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_MAX_TOKEN_LENGTH", length)
    ids = [spelled or key for key, spelled in KINDS[kind][1].items()]
    for chosen in ([ids[0]], ids):
        posted = client.post(f"/{kind}", {"ids": chosen})
        assert posted.status_code == 303
        url = urljoin(f"/{kind}", posted.headers["Location"])
        for response in (client.get(f"/{kind}", {"ids": chosen}), client.get(url)):
            assert len(read_zipfile(response.getvalue())) == len(chosen)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_none_is_not_found_nor_an_error(client: Client, kind: str) -> None:
    for hostile in HOSTILE:
        for method in ("get", "post"):
            response = getattr(client, method)(f"/{kind}", {"ids": hostile})
            # Two are keys of rows.
            is_row = kind in {"duration", "boolean"} and hostile in {"-0", "True"}
            assert response.status_code == 404 or is_row, hostile


def test_a_union_may_be_ordered_by_its_annotation(client: Client, storage: CountingStorage) -> None:
    ids = [make_document(storage, title).pk for title in "abc"]
    response = client.get("/rows/ordered", {"ids": ids[1:]})
    assert sorted(read_zipfile(response.getvalue())) == ["b.pdf", "c.pdf"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("list", "a list"), ("manager", "a manager"), ("raw", "a RawQuerySet")],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_is_no_queryset_is_said_to_be_none(
    client: Client, storage: CountingStorage, kind: str, words: str, method: str
) -> None:
    document = make_document(storage)
    with pytest.raises(TypeError, match=f"expected a QuerySet, got {words}; use "):
        getattr(client, method)(f"/rows/{kind}", {"ids": document.pk})


@pytest.mark.parametrize("length", [1500, 0], ids=["in the URL", "kept"])
@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
def test_a_link_outlives_a_replaced_secret_key(
    client: Client,
    storage: CountingStorage,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    length: int,
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    monkeypatch.setattr(selection, "_MAX_TOKEN_LENGTH", length)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old", []
    posted = client.post("/documents", {"ids": make_document(storage).pk})
    url = urljoin("/documents", posted.headers["Location"])
    settings.SECRET_KEY = "new"
    assert client.get(url).status_code == 404
    settings.SECRET_KEY_FALLBACKS = ["old"]
    assert client.get(url).status_code == 200


class SiteSession(SignedCookieStore):
    """A site's own session, which keeps nothing on the server either."""


# The module is a session engine.
SessionStore = SiteSession


def test_sessions_of_a_sites_own_may_be_cookies(
    client: Client, storage: CountingStorage, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_MAX_TOKEN_LENGTH", 0)
    settings.SESSION_ENGINE = __name__
    posted = client.post("/documents", {"ids": make_document(storage).pk})
    assert client.get(urljoin("/documents", posted.headers["Location"])).status_code == 200
