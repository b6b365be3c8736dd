"""Members of rows are the files that `instance.file` opens, whatever decides where these are."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import models
from django.test import RequestFactory
from django.utils import timezone

from django_stream_zip.admin import download_as_zip
from django_stream_zip.members import (
    aqueryset_members,
    field_member,
    lazy_queryset_members,
    queryset_members,
)
from django_stream_zip.members.field_files import is_column_enough
from django_stream_zip.response import zip_response
from django_stream_zip.views import QuerySetZipDownloadView
from tests.models import (
    ARCHIVE,
    DESK,
    Book,
    Copy,
    Deed,
    Document,
    Drawer,
    Film,
    Letter,
    LoveLetter,
    Picture,
    Reply,
    Secret,
    Will,
)
from tests.support.readers import read_zipfile
from tests.support.rows import contents_of

pytestmark = pytest.mark.django_db

Assert = Callable[..., Any]


@pytest.fixture(autouse=True)
def _two_files_of_a_name() -> Iterator[None]:
    for storage, content in ((ARCHIVE, b"from the archive"), (DESK, b"on the desk")):
        storage.save("x.txt", ContentFile(content))
    yield
    for storage in (ARCHIVE, DESK):
        storage.delete("x.txt")


def write(archived: bool, model: Any = Letter, **fields: Any) -> Any:
    return model.everything.create(archived=archived, file="x.txt", **fields)


BOTH = {"x.txt": b"from the archive", "x (1).txt": b"on the desk"}


@pytest.mark.parametrize("build", [queryset_members, lazy_queryset_members])
@pytest.mark.parametrize("model", [Letter, Copy, LoveLetter])
def test_each_row_has_its_file(build: Any, model: Any) -> None:
    write(True, model), write(False, model)
    assert contents_of(build(model.everything.order_by("pk"))) == BOTH


def test_each_row_has_its_file_on_an_event_loop() -> None:
    write(True), write(False)
    members = async_to_sync(aqueryset_members)(Letter.objects.order_by("pk"))
    assert contents_of(members) == BOTH


def test_a_field_member_is_the_file_of_its_row() -> None:
    assert contents_of([field_member(write(True).file)]) == {"x.txt": b"from the archive"}
    assert contents_of([field_member(write(False).file)]) == {"x.txt": b"on the desk"}


def test_a_view_and_the_admin_give_each_row_its_file() -> None:
    write(True), write(False)
    request = RequestFactory().get("/")
    view: Any = QuerySetZipDownloadView.as_view(queryset=Letter.objects.order_by("pk"))(request)
    assert read_zipfile(view.getvalue()) == BOTH
    request.user = User.objects.create_superuser("root")
    model_admin = admin.ModelAdmin(Letter, admin.site)
    action: Any = download_as_zip(model_admin, request, Letter.objects.order_by("pk"))
    assert read_zipfile(action.getvalue()) == BOTH


@pytest.mark.parametrize(
    "rows",
    [
        lambda: Letter.objects.only("file"),
        lambda: Letter.objects.defer("archived"),
        lambda: Letter.objects.select_related("drawer").only("file", "drawer__name"),
        lambda: Letter.objects.annotate(n=models.Count("reply")),
        lambda: Letter.objects.order_by("pk")[:5],
        lambda: Letter.objects.distinct(),
    ],
    ids=["only", "defer", "select_related", "annotate", "slice", "distinct"],
)
@pytest.mark.parametrize("options", [{}, {"limit": 5}, {"name": "{drawer.name}{archived}"}])
def test_rows_are_loaded_by_one_query(
    rows: Any, options: Any, django_assert_num_queries: Assert
) -> None:
    for archived in (True, True, False):
        write(archived, drawer=Drawer.objects.create())
    with django_assert_num_queries(1):
        members = queryset_members(rows(), **options)
    assert sorted(contents_of(members).values()) == [
        b"from the archive",
        b"from the archive",
        b"on the desk",
    ]


@pytest.mark.parametrize("options", [{}, {"limit": 2}], ids=["any number", "a limit"])
def test_more_rows_than_the_limit_have_their_files(options: Any) -> None:
    Letter.objects.create(), write(True), Letter.objects.create(), write(False)
    assert contents_of(queryset_members(Letter.objects.order_by("pk"), **options)) == BOTH


@pytest.mark.parametrize("build", [queryset_members, lazy_queryset_members])
@pytest.mark.parametrize(
    "rows", [Letter.objects.values, Letter.objects.values_list], ids=["values", "values_list"]
)
def test_values_of_rows_are_refused(rows: Any, build: Any) -> None:
    write(True)
    with pytest.raises(TypeError, match=r"QuerySet of instances.* without values\(\)"):
        build(rows("file"))
    with pytest.raises(TypeError, match=r"QuerySet of instances.* without values\(\)"):
        build(Document.objects.values("file"), name=str)


def test_a_union_is_refused_where_instances_are_needed() -> None:
    write(True)
    with pytest.raises(ValueError, match=r"tests.Letter .* instances"):
        queryset_members(Letter.objects.union(Letter.objects.all()))


# Across relations.


def test_related_rows_have_their_files(django_assert_num_queries: Assert) -> None:
    drawer = Drawer.objects.create(name="top")
    write(True, drawer=drawer), write(False, drawer=drawer), Drawer.objects.create()
    with django_assert_num_queries(2):
        members = queryset_members(Drawer.objects.all(), "letters__file", name="{name}/{basename}")
    assert contents_of(members) == {f"top/{name}": content for name, content in BOTH.items()}


def test_rows_that_are_referred_to_have_their_files(django_assert_num_queries: Assert) -> None:
    for letter in (write(True), None, write(False)):
        Reply.objects.create(letter=letter)
    with django_assert_num_queries(2):
        members = queryset_members(Reply.objects.order_by("pk"), "letter__file")
    assert contents_of(members) == BOTH


def test_many_related_rows_take_few_queries(django_assert_max_num_queries: Assert) -> None:
    drawer = Drawer.objects.create()
    letters = [Letter(drawer=drawer, archived=bool(n % 2), file="x.txt") for n in range(1001)]
    Letter.objects.bulk_create(letters)
    with django_assert_max_num_queries(4):
        members = queryset_members(Drawer.objects.all(), "letters__file")
    assert sum(content == b"on the desk" for content in contents_of(members).values()) == 501


def test_related_rows_that_their_manager_hides_are_left_out() -> None:
    drawer = Drawer.objects.create()
    write(True, drawer=drawer), write(False, drawer=drawer, burnt=True)
    members = queryset_members(Drawer.objects.all(), "letters__file")
    assert contents_of(members) == {"x.txt": b"from the archive"}
    assert [letter.archived for letter in drawer.letters.all()] == [True]


def test_rows_of_the_queryset_are_those_it_has_whatever_managers_hide() -> None:
    write(True), write(False, burnt=True)
    assert contents_of(queryset_members(Letter.everything.order_by("pk"))) == BOTH
    assert contents_of(queryset_members(Letter.objects.all())) == {"x.txt": b"from the archive"}


# What else decides.


@pytest.mark.parametrize("model", [Will, Deed])
def test_what_a_descriptor_or_loading_decides_counts(model: Any) -> None:
    row = model.objects.create(file="x.txt")
    assert model.objects.get(pk=row.pk).file.read() == b"from the archive"
    assert contents_of(queryset_members(model.objects.all())) == {"x.txt": b"from the archive"}


@pytest.mark.parametrize(
    ("model", "field", "expected"),
    [
        (Document, "file", True),
        (Picture, "thumbnail", True),
        (Book, "file", True),
        (Film, "poster", True),
        (Letter, "file", False),
        (Copy, "file", False),
        (Will, "file", False),
        (Deed, "file", False),
        (Secret, "file", False),
    ],
)
def test_no_instances_are_made_where_the_column_is_enough(
    model: Any, field: str, expected: bool
) -> None:
    assert is_column_enough(model, model._meta.get_field(field)) is expected


@pytest.mark.parametrize("known", [{}, {"size": "size", "modified_at": "at"}])
@pytest.mark.parametrize("build", [queryset_members, lazy_queryset_members])
def test_a_file_that_opens_itself_is_what_it_opens(build: Any, known: Any) -> None:
    expected = {"x.txt": b"on the desk"[::-1]}
    row = Secret.objects.create(file="x.txt", size=11, at=timezone.now())
    assert row.file.open().read() == expected["x.txt"]
    response: Any = zip_response(RequestFactory().get("/"), build(Secret.objects.all(), **known))
    assert read_zipfile(response.getvalue()) == expected
    assert contents_of([field_member(row.file)]) == expected
    DESK.delete("x.txt")
    with pytest.raises(FileNotFoundError):
        queryset_members(Secret.objects.all())


# What rows hold of their files.


@pytest.mark.parametrize("labels", [(), ("tests.Letter",), ("tests.LoveLetter",)])
def test_the_command_reads_the_file_of_each_row(labels: Any) -> None:
    write(True, LoveLetter), write(False, LoveLetter)
    call_command("zip_metadata", *labels, verbosity=0)
    held = Letter.everything.order_by("pk").values_list("zip_size", "zip_crc_32")
    assert list(held) == [(len(data), zlib.crc32(data)) for data in BOTH.values()]
    assert contents_of(queryset_members(Letter.objects.order_by("pk"))) == BOTH
