"""Members of a queryset: queries, columns, names, calls to the storage, missing files, limits."""

from __future__ import annotations

import gc
import logging
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.db import connection
from django.db.models import Q, QuerySet, Value
from django.test import RequestFactory
from django.utils import timezone
from django.utils.translation import gettext_lazy

from django_stream_zip import stream_zip
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import (
    TooManyBytesError,
    TooManyMembersError,
    aqueryset_members,
    lazy_queryset_members,
    queryset_members,
)
from django_stream_zip.members.readers import Metadata
from django_stream_zip.members.readers.generic import GenericReader
from django_stream_zip.response import zip_response
from django_stream_zip.views import QuerySetZipDownloadView
from tests.models import Attachment, Document, Folder, Picture, Scan
from tests.support.counting import TIME, CountingStorage
from tests.support.readers import assert_reads
from tests.support.rows import (
    KNOWN,
    content_of,
    contents_of,
    make_document,
    make_known_document,
    make_picture,
    names_of,
)

pytestmark = pytest.mark.django_db

Assert = Callable[..., Any]


def attach(storage: CountingStorage, document: Document, *names: str) -> None:
    for name in names:
        storage.files[name] = name.encode()
        Attachment.objects.create(document=document, file=name)


def fill(count: int) -> None:
    """Make rows that tell all of files which are not there, as nobody is to ask for them."""
    Document.objects.bulk_create(
        Document(title=str(n), file=f"{n}.pdf", size=n, uploaded_at=TIME) for n in range(count)
    )


# Queries.


@pytest.mark.parametrize("rows", [1, 10_000])
@pytest.mark.parametrize("name", [None, lambda row: f"{row.title}.pdf"], ids=["column", "call"])
def test_one_query_is_made_for_any_number_of_rows(
    storage: CountingStorage, django_assert_num_queries: Assert, rows: int, name: Any
) -> None:
    fill(rows)
    with django_assert_num_queries(1):
        members = queryset_members(Document.objects.all(), name=name, **KNOWN)
    assert len(members) == rows
    assert storage.calls == []


def test_reading_the_members_makes_no_query(
    storage: CountingStorage, django_assert_num_queries: Assert
) -> None:
    make_document(storage, "a", folder=Folder.objects.create(name="f"))
    members = queryset_members(Document.objects.all(), name="{folder.name}/{basename}")
    with django_assert_num_queries(0):
        archive = b"".join(stream_zip(members))
    assert_reads(archive, {"f/a.pdf": content_of("a")}, only=["zipfile", "stream-unzip"])


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        pytest.param({}, {"file"}, id="nothing but the file"),
        pytest.param({"name": "title"}, {"file", "title"}, id="a name"),
        pytest.param(KNOWN, {"file", "size", "crc_32", "uploaded_at"}, id="what is known"),
        pytest.param({"name": "{pk}{ext}"}, {"file", "id"}, id="a format"),
        pytest.param({"name": "{title}", "size": "size"}, {"file", "title", "size"}, id="both"),
        pytest.param({"name": "folder__name"}, {"file", "tests_folder.name"}, id="a relation"),
    ],
)
def test_only_the_columns_that_are_needed_are_selected(
    storage: CountingStorage,
    django_assert_num_queries: Assert,
    options: dict[str, Any],
    columns: set[str],
) -> None:
    with django_assert_num_queries(1) as queries:
        queryset_members(Document.objects.select_related("owner"), **options)
    [query] = queries.captured_queries
    selected = re.findall(r'"(\w+)"\."(\w+)"', query["sql"].partition(" FROM ")[0])
    assert {f"{table}.{column}".removeprefix("tests_document.") for table, column in selected} == (
        columns
    )


@pytest.mark.parametrize("name", [None, lambda row: row.title], ids=["column", "call"])
def test_no_instance_is_kept(storage: CountingStorage, name: Any) -> None:
    fill(3)
    members = queryset_members(Document.objects.all(), name=name, **KNOWN)
    gc.collect()
    assert not any(isinstance(thing, Document) for thing in gc.get_objects())
    assert len(members) == 3


def test_from_an_event_loop_the_same_is_given(storage: CountingStorage) -> None:
    make_document(storage, "a")
    members = async_to_sync(aqueryset_members)(Document.objects.all(), "file", name="{title}.jpg")
    assert contents_of(members) == {"a.jpg": content_of("a")}


# Which files.


def test_a_row_without_a_file_is_left_out(storage: CountingStorage) -> None:
    make_document(storage, "a")
    make_document(storage, "b", file="")
    assert names_of(queryset_members(Document.objects.all())) == ["a.pdf"]


@pytest.mark.parametrize("value", ["", None])
def test_a_field_without_a_file_is_left_out_and_the_others_are_not(
    storage: CountingStorage, value: str | None
) -> None:
    picture = make_picture(storage, "photo")
    Picture.objects.update(thumbnail=value)
    members = queryset_members(Picture.objects.all(), "original", "thumbnail")
    assert names_of(members) == [picture.original.name]


def test_several_fields_are_given_row_by_row_in_their_order(storage: CountingStorage) -> None:
    make_picture(storage, "x", position=2)
    make_picture(storage, "y", position=1)
    members = queryset_members(Picture.objects.all(), "thumbnail", "original")
    assert names_of(members) == ["x-small.jpg", "x.jpg", "y-small.jpg", "y.jpg"]


def test_the_files_of_related_rows_are_given(
    storage: CountingStorage, django_assert_num_queries: Assert
) -> None:
    attach(storage, make_document(storage, "a"), "1.jpg", "2.jpg")
    make_document(storage, "b")
    attach(storage, make_document(storage, "c"), "3.jpg")
    with django_assert_num_queries(1):
        members = queryset_members(
            Document.objects.all(), "attachments__file", name="{title}/{basename}"
        )
    assert contents_of(members) == {"a/1.jpg": b"1.jpg", "a/2.jpg": b"2.jpg", "c/3.jpg": b"3.jpg"}


def test_a_row_is_given_once_beside_many_that_are_related(storage: CountingStorage) -> None:
    attach(storage, make_document(storage, "a"), "1.jpg", "2.jpg")
    members = queryset_members(Document.objects.all(), "file", "attachments__file")
    assert sorted(names_of(members)) == ["1.jpg", "2.jpg", "a.pdf"]


def test_a_slice_counts_rows_and_not_those_related_to_them(storage: CountingStorage) -> None:
    attach(storage, make_document(storage, "a"), "1.jpg", "2.jpg")
    attach(storage, make_document(storage, "b"), "3.jpg", "4.jpg")
    members = queryset_members(Document.objects.order_by("pk")[:1], "attachments__file")
    assert names_of(members) == ["1.jpg", "2.jpg"]


def test_the_only_file_field_needs_no_name(storage: CountingStorage) -> None:
    storage.files["scan.jpg"] = b"scan"
    Scan.objects.create(file="scan.jpg")
    assert contents_of(queryset_members(Scan.objects.all())) == {"scan.jpg": b"scan"}


@pytest.mark.parametrize(
    ("model", "fields", "options", "message"),
    [
        pytest.param(Folder, (), {}, "tests.Folder are wanted: it has none", id="no file field"),
        pytest.param(Picture, (), {}, "it has original, thumbnail", id="two file fields"),
        pytest.param(Document, ("fil",), {}, "no field 'fil'", id="no such field"),
        pytest.param(Document, ("title",), {}, "tests.Document.title is not a FileF", id="text"),
        pytest.param(Document, ("attachments",), {}, "is not a FileField", id="a relation"),
        pytest.param(Document, ("attachments__x",), {}, "no field 'attachments__x'", id="across"),
        pytest.param(Document, ("title__x",), {}, "no field 'title__x'", id="across text"),
        pytest.param(Document, (), {"size": "bytes"}, "no field 'bytes'", id="size"),
        pytest.param(Document, (), {"crc_32": "crc"}, "no field 'crc'", id="CRC-32"),
        pytest.param(Document, (), {"modified_at": "at"}, "no field 'at'", id="time"),
        pytest.param(Document, (), {"size": {"file": "bytes"}}, "no field 'bytes'", id="mapping"),
        pytest.param(Document, (), {"name": "nope"}, "no field 'nope'", id="name"),
        pytest.param(Document, (), {"name": "folder__nope"}, "'folder__nope'", id="name across"),
        pytest.param(Document, (), {"name": "{nope}{ext}"}, "no field 'nope'", id="format"),
        pytest.param(Document, (), {"name": "{folder.x}"}, "no field 'folder__x'", id="dotted"),
        pytest.param(Document, (), {"name": "{}.pdf"}, "no field ''", id="positional"),
        pytest.param(Document, (), {"name": "{title"}, "expected '}'", id="half a format"),
        pytest.param(Document, (), {"missing": "ignore"}, "one of raise, skip, report", id="mode"),
    ],
)
def test_fields_and_options_that_are_wrong_are_told_before_any_query(
    django_assert_num_queries: Assert,
    model: Any,
    fields: tuple[str, ...],
    options: dict[str, Any],
    message: str,
) -> None:
    with django_assert_num_queries(0), pytest.raises(ValueError, match=re.escape(message)):
        queryset_members(model.objects.all(), *fields, **options)


@pytest.mark.parametrize("option", ["size", "crc_32", "modified_at"])
def test_a_field_of_another_kind_is_no_missing_file(storage: CountingStorage, option: str) -> None:
    make_document(storage, "a")
    with pytest.raises((ValueError, TypeError), match="title"):
        queryset_members(Document.objects.all(), missing="report", **{option: "title"})


# Names.


def takes_one(document: Document) -> str:
    return f"{document.folder_id is not None}-{document.title}.pdf"


def takes_two(document: Document, stored_name: str) -> str:
    return f"{document.title}-{stored_name}"


class Namer:
    """A callable that is no function."""

    def __call__(self, document: Document, stored_name: str) -> str:
        return f"called/{stored_name}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(None, "tar.v2.gz", id="the stored one"),
        pytest.param("title", "Annual report", id="a field"),
        pytest.param("folder__name", "2024", id="a field across a relation"),
        pytest.param("uploaded_at", "2024-02-29 12_34_56+00_00", id="a field that isn't text"),
        pytest.param("shelf_mark", "mark Annual report.pdf", id="an attribute"),
        pytest.param("get_shelf_mark", "mark Annual report.pdf", id="a method"),
        pytest.param("{folder.name}/{title}{ext}", "2024/Annual report.v2.gz", id="format: ext"),
        pytest.param("{folder__name}/{basename}", "2024/tar.v2.gz", id="format: base name"),
        pytest.param("{field}/{title}", "file/Annual report", id="format: field"),
        pytest.param("{uploaded_at:%Y-%m}.pdf", "2024-02.pdf", id="format: specification"),
        pytest.param("{{{title}}}.pdf", "{Annual report}.pdf", id="format: braces"),
        pytest.param(takes_one, "True-Annual report.pdf", id="call with one"),
        pytest.param(takes_two, "Annual report-docs/tar.v2.gz", id="call with two"),
        pytest.param(Namer(), "called/docs/tar.v2.gz", id="call of an object"),
        pytest.param(lambda row: "../../etc/passwd", "etc/passwd", id="made safe"),
        pytest.param(lambda row: "", "tar.v2.gz", id="empty"),
    ],
)
def test_a_member_is_named(storage: CountingStorage, name: Any, expected: str) -> None:
    folder = Folder.objects.create(name="2024")
    make_document(storage, "Annual report", folder=folder, file="docs/tar.v2.gz", uploaded_at=TIME)
    members = queryset_members(Document.objects.all(), name=name)
    assert contents_of(members) == {expected: content_of("Annual report")}


def test_each_field_of_a_row_can_have_its_name(storage: CountingStorage) -> None:
    make_picture(storage, "photo", position=7)
    members = queryset_members(
        Picture.objects.all(), "original", "thumbnail", name="{position}-{field}{ext}"
    )
    assert names_of(members) == ["7-original.jpg", "7-thumbnail.jpg"]


def test_names_that_are_alike_are_numbered_in_order(storage: CountingStorage) -> None:
    for title in ("report", "Report", "other"):
        make_document(storage, title, file=f"{title}.pdf")
    members = queryset_members(
        Document.objects.order_by("pk"), name=lambda row: f"{row.title.replace('oth', 'Rep')}.pdf"
    )
    assert names_of(members) == ["report.pdf", "Report (1).pdf", "Reper.pdf"]


def test_a_file_is_no_folder_though_its_name_ends_like_one(storage: CountingStorage) -> None:
    make_document(storage, "Q1/")
    archive = b"".join(stream_zip(queryset_members(Document.objects.all(), name="title")))
    assert_reads(archive, {"Q1": content_of("Q1/")}, only=["zipfile", "stream-unzip"])


@pytest.mark.parametrize("name", ["folder__name", "{folder.name}/{basename}"])
def test_a_name_that_is_null_is_not_none(storage: CountingStorage, name: str) -> None:
    make_document(storage, "a")
    assert names_of(queryset_members(Document.objects.all(), name=name)) == ["a.pdf"]


LATE = datetime(2024, 2, 29, 23, 30, tzinfo=UTC)  # tomorrow in Vienna


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        pytest.param("{uploaded_at:%Y}/{title}{ext}", {}, "T.jpg", id="NULL with a format"),
        pytest.param("{uploaded_at!s:>9}-{title}", {}, "-T", id="NULL with a conversion"),
        pytest.param("{folder.name}/{size:05}{ext}", {"title": ""}, "docs.jpg", id="all NULL"),
        pytest.param("{uploaded_at:%d.%m}{ext}", {"uploaded_at": LATE}, "01.03.jpg", id="zone"),
        pytest.param(
            "uploaded_at", {"uploaded_at": LATE}, "2024-03-01 00_30_00+01_00", id="column"
        ),
        pytest.param("uploaded_at", {}, "docs.jpg", id="a column that is NULL"),
        pytest.param("title", {"title": ""}, "docs.jpg", id="a column that is blank"),
        pytest.param("{title}{ext}", {"file": "b.tar.gz"}, "T.tar.gz", id="two endings"),
        pytest.param("{title}{ext}", {"file": "d.v2/README"}, "T", id="no ending"),
        pytest.param("{title}{ext}", {"file": ".env"}, "T", id="a hidden file has no ending"),
        pytest.param("{title}{ext}", {"title": ""}, "docs.jpg", id="blank"),
        pytest.param("{title}{ext}", {"title": " "}, "docs.jpg", id="a space"),
        pytest.param("{title}{ext}", {"title": "\u200b"}, "docs.jpg", id="not seen"),
        pytest.param("{title}{ext}", {"title": ".."}, "docs.jpg", id="dots"),
        pytest.param("{title}{ext}", {"title": "x/"}, "x.jpg", id="a slash at the end"),
        pytest.param("{title}{ext}", {"title": "x/ "}, "x/docs.jpg", id="a folder and a space"),
        pytest.param("f/{title}{ext}", {"title": ""}, "f/docs.jpg", id="blank in a folder"),
        pytest.param("f/{title}", {"title": ""}, "f/docs.jpg", id="nothing in a folder"),
        pytest.param("{title}.pdf", {"title": ""}, "docs.pdf", id="blank, another ending"),
        pytest.param(
            "{title}{ext}", {"title": "", "file": "b.tar.gz"}, "b.tar.gz", id="blank, two endings"
        ),
        pytest.param("{title}", {"title": ".env"}, ".env", id="a name with a dot"),
        pytest.param("{title}{ext}", {"title": ".env"}, ".env.jpg", id="a stem with a dot"),
        pytest.param("{title!r}{ext}", {}, "'T'.jpg", id="a conversion"),
        pytest.param("{size:05}{ext}", {"size": 7}, "00007.jpg", id="a number"),
        pytest.param(lambda row: None, {}, "docs.jpg", id="call: None"),
        pytest.param(lambda row: gettext_lazy("Yes"), {}, "Yes", id="call: lazy"),
        pytest.param(lambda row: LATE.date(), {}, "2024-02-29", id="call: a date"),
    ],
)
def test_values_are_named_as_the_site_shows_them(
    storage: CountingStorage, settings: Any, name: Any, fields: dict[str, Any], expected: str
) -> None:
    settings.TIME_ZONE = "Europe/Vienna"
    make_document(storage, **{"title": "T", "file": "a/docs.jpg", "size": None, **fields})
    with timezone.override("America/New_York"):  # the client's: the archive is the same for all
        assert names_of(queryset_members(Document.objects.all(), name=name)) == [expected]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{title:%Y}{ext}", "name='{title:%Y}{ext}': {title} is a str, which has no format '%Y'"),
        ("{size:%Y}", "{size} is a int, which has no format '%Y'"),
        ("{owner.date_joined:%Y}{owner.username:d}", "{owner.username} is a str"),
        ("{title!x}", "{title} is a str, which has no format 'x'"),
        ("{title:{size}}", "{title} has a format in its format"),
    ],
)
@pytest.mark.parametrize("build", [queryset_members, lazy_queryset_members])
def test_a_format_that_does_not_fit_is_told_before_any_query(
    django_assert_num_queries: Assert, build: Any, name: str, message: str
) -> None:
    with django_assert_num_queries(0), pytest.raises(ValueError, match=re.escape(message)):
        build(Document.objects.all(), name=name)


def test_a_format_that_does_not_fit_an_annotation_is_told(storage: CountingStorage) -> None:
    make_document(storage, "a")
    rows = Document.objects.annotate(ratio=Value(Decimal(1)))
    with pytest.raises(ValueError, match=r"\{ratio\} is a Decimal, which has no format 'd'"):
        queryset_members(rows, name="{ratio:d}", missing="skip")


def test_a_callable_that_fails_is_no_missing_file(storage: CountingStorage) -> None:
    make_document(storage, "a")
    with pytest.raises(ZeroDivisionError):
        queryset_members(Document.objects.all(), name=lambda row: 1 / 0, missing="skip")


# What the row tells.


def test_what_the_row_tells_is_not_asked_of_the_storage(storage: CountingStorage) -> None:
    for title in "abc":
        make_known_document(storage, title)
    members = queryset_members(Document.objects.all(), **KNOWN)
    assert storage.calls == []
    assert [member[4].size for member in members] == [12] * 3
    assert {member[1] for member in members} == {TIME}
    assert members[0][4].crc_32 == Document.objects.get(title="a").crc_32


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        pytest.param({}, ["size", "get_modified_time"], id="nothing"),
        pytest.param({"size": "size"}, ["get_modified_time"], id="the size"),
        pytest.param({"modified_at": "uploaded_at"}, ["size"], id="the time"),
        pytest.param({"crc_32": "crc_32"}, ["size", "get_modified_time"], id="the CRC-32"),
    ],
)
def test_what_the_row_does_not_tell_is_asked_once_for_a_file(
    storage: CountingStorage, options: dict[str, Any], calls: list[str]
) -> None:
    make_known_document(storage, "a")
    make_known_document(storage, "b")
    queryset_members(Document.objects.order_by("title"), **options)
    assert storage.calls == [(call, f"docs/{title}.pdf") for title in "ab" for call in calls]


def test_where_a_row_has_no_value_the_storage_is_asked(storage: CountingStorage) -> None:
    make_known_document(storage, "a")
    make_document(storage, "b", uploaded_at=TIME)
    members = queryset_members(Document.objects.order_by("title"), **KNOWN)
    assert storage.calls == [("size", "docs/b.pdf")]
    assert contents_of(members) == {"a.pdf": content_of("a"), "b.pdf": content_of("b")}


def test_a_size_of_zero_is_a_value(storage: CountingStorage) -> None:
    storage.files["empty.pdf"] = b""
    Document.objects.create(file="empty.pdf", size=0, crc_32=0, uploaded_at=TIME)
    members = queryset_members(Document.objects.all(), **KNOWN)
    assert storage.calls == []
    assert contents_of(members) == {"empty.pdf": b""}


def test_each_file_field_can_have_a_size_of_its_own(storage: CountingStorage) -> None:
    make_picture(storage, "photo")
    queryset_members(
        Picture.objects.all(), "original", "thumbnail", size={"original": "original_size"}
    )
    assert [name for call, name in storage.calls if call == "size"] == ["photo-small.jpg"]


@pytest.mark.parametrize("compress", [True, False])
def test_compress_goes_for_all_members(storage: CountingStorage, compress: bool) -> None:
    make_document(storage, "a", file="a.pdf")
    make_document(storage, "b", file="b.txt")
    members = queryset_members(Document.objects.all(), compress=compress)
    response = zip_response(RequestFactory().get("/"), members)
    assert ("ETag" in response.headers) is not compress


@pytest.mark.parametrize(("compress", "has_length"), [(None, True), (True, False), (False, True)])
def test_a_text_among_rows_of_documents_leaves_length_and_ranges(
    storage: CountingStorage, compress: bool | None, has_length: bool
) -> None:
    for number in range(10):
        make_document(storage, f"{number}")
    make_document(storage, "t", file="text.txt")
    view = QuerySetZipDownloadView.as_view(model=Document, compress=compress)
    response = view(RequestFactory().get("/"))
    assert ("ETag" in response.headers) is has_length


# Order.

ORDERINGS: dict[str, Callable[[], QuerySet[Any]]] = {
    "none": lambda: Document.objects.all(),
    "a column": lambda: Document.objects.order_by("size"),
    "a column across a relation": lambda: Document.objects.order_by("-folder__name"),
    "that of the model": lambda: Picture.objects.all(),
    "distinct": lambda: Document.objects.distinct(),
    "distinct and a column": lambda: Document.objects.order_by("size").distinct(),
}


def order_of(queries: Any) -> list[str]:
    """Return the columns that the only query orders by."""
    [query] = queries.captured_queries
    return re.findall(r'"(tests_\w+"\."\w+)"', query["sql"].partition(" ORDER BY ")[2])


@pytest.mark.parametrize("queryset", ORDERINGS.values(), ids=ORDERINGS)
def test_rows_that_are_equal_in_order_come_by_primary_key(
    storage: CountingStorage, django_assert_num_queries: Assert, queryset: Any
) -> None:
    rows = queryset()
    with django_assert_num_queries(1) as queries:
        queryset_members(rows, file_field_of(rows))
    assert order_of(queries)[-1] == f'{rows.model._meta.db_table}"."id'


def file_field_of(queryset: QuerySet[Any]) -> str:
    return "original" if queryset.model is Picture else "file"


def test_files_of_related_rows_come_by_their_primary_key(
    storage: CountingStorage, django_assert_num_queries: Assert
) -> None:
    with django_assert_num_queries(1) as queries:
        queryset_members(Document.objects.all(), "attachments__file")
    [query] = queries.captured_queries
    selected, _, order = query["sql"].partition(" ORDER BY ")
    columns = re.findall(r'"(tests_\w+"\."\w+)"', selected.partition(" FROM ")[0])
    # What is selected as well, Django names by its position.
    positions = [columns.index(f'tests_{model}"."id') + 1 for model in ("document", "attachment")]
    assert order == "{} ASC, {} ASC".format(*positions)


def test_the_order_of_the_model_holds(storage: CountingStorage) -> None:
    for position, name in enumerate("xyz"):
        make_picture(storage, name, position=position % 2)
    members = queryset_members(Picture.objects.all(), "original")
    assert names_of(members) == ["y.jpg", "x.jpg", "z.jpg"]


def test_the_order_of_the_queryset_holds(storage: CountingStorage) -> None:
    for title in ("b", "a", "c"):
        make_document(storage, title)
    members = queryset_members(Document.objects.order_by("title").reverse())
    assert names_of(members) == ["c.pdf", "b.pdf", "a.pdf"]


@pytest.mark.parametrize("name", [None, takes_one], ids=["column", "call"])
def test_a_slice_is_what_it_was(storage: CountingStorage, name: Any) -> None:
    for title in ("b", "a", "c"):
        make_document(storage, title)
    members = queryset_members(Document.objects.order_by("title")[1:3], name=name)
    assert list(contents_of(members).values()) == [content_of("b"), content_of("c")]


def test_distinct_rows_are_given_once(storage: CountingStorage) -> None:
    attach(storage, make_document(storage, "a"), "1.jpg", "2.jpg")
    rows = Document.objects.filter(attachments__isnull=False)
    assert names_of(queryset_members(rows.distinct())) == ["a.pdf"]


def test_a_union_can_be_given(storage: CountingStorage) -> None:
    for title in ("b", "a", "c"):
        make_document(storage, title)
    first, second = (Document.objects.filter(title=title) for title in "bc")
    members = queryset_members(first.union(second), name="{title}.jpg")
    assert sorted(names_of(members)) == ["b.jpg", "c.jpg"]


def tag_of(members: Any) -> str:
    response = zip_response(RequestFactory().get("/"), members)
    return str(response.headers["ETag"])


@contextmanager
def reversed_rows() -> Iterator[None]:
    """Have the database return what is in no order in the other one."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA reverse_unordered_selects = 1")
        try:
            yield
        finally:  # it is the connection's, which other tests use, too
            cursor.execute("PRAGMA reverse_unordered_selects = 0")


@pytest.mark.parametrize("options", [{}, KNOWN], ids=["asked", "known"])
def test_the_same_rows_have_the_same_entity_tag(
    storage: CountingStorage, options: dict[str, Any]
) -> None:
    for title in ("b", "a", "c"):
        make_known_document(storage, title)
    tag = tag_of(queryset_members(Document.objects.all(), **options))
    with reversed_rows():
        titles = [document.title for document in Document.objects.all()]
        assert titles == ["c", "a", "b"]
        assert tag_of(queryset_members(Document.objects.all(), **options)) == tag


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"title": "z"}, id="the name"),
        pytest.param({"size": 1}, id="the size"),
        pytest.param({"uploaded_at": TIME.replace(year=2020)}, id="the time"),
        pytest.param({"file": "docs/other.pdf"}, id="the file"),
    ],
)
def test_a_row_that_changes_changes_the_entity_tag(
    storage: CountingStorage, change: dict[str, Any]
) -> None:
    make_known_document(storage, "a")
    options = {**KNOWN, "name": "{title}.pdf"}
    before = tag_of(queryset_members(Document.objects.all(), **options))
    Document.objects.update(**change)
    assert tag_of(queryset_members(Document.objects.all(), **options)) != before


# Missing files.


@pytest.fixture
def one_is_missing(storage: CountingStorage) -> None:
    for title in ("a", "b", "c"):
        make_document(storage, title, folder=Folder.objects.create(name=f"folder of {title}"))
    del storage.files["docs/b.pdf"]


@pytest.mark.usefixtures("one_is_missing")
def test_a_missing_file_raises_what_the_storage_raises() -> None:
    with pytest.raises(FileNotFoundError):
        queryset_members(Document.objects.all())


@pytest.mark.usefixtures("one_is_missing")
def test_a_missing_file_can_be_skipped_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    members = queryset_members(Document.objects.all(), missing="skip")
    assert names_of(members) == ["a.pdf", "c.pdf"]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("django_stream_zip", logging.WARNING)
    assert "b.pdf" in record.getMessage()


@pytest.mark.usefixtures("one_is_missing", "caplog")
def test_missing_files_can_be_reported_in_a_member() -> None:
    members = queryset_members(Document.objects.all(), missing="report", name="{folder.name}.pdf")
    assert contents_of(members) == {
        "folder of a.pdf": content_of("a"),
        "folder of c.pdf": content_of("c"),
        "MISSING.txt": b"These files could not be included:\r\n\r\nfolder of b.pdf: not found\r\n",
    }


@pytest.mark.usefixtures("caplog")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "No such file", "/srv/secret/b.pdf"), b"not found"),
        (PermissionError(13, "Permission denied", "/srv/secret/b.pdf"), b"could not be read"),
        (RuntimeError("no route to secret.internal"), b"could not be read"),
    ],
    ids=["missing", "forbidden", "anything"],
)
def test_the_report_says_why_and_nothing_of_the_server(
    storage: CountingStorage, error: Exception, reason: bytes
) -> None:
    make_document(storage, "a")
    make_document(storage, "b")
    storage.errors["docs/b.pdf"] = error
    [_, member] = queryset_members(Document.objects.all(), missing="report")
    report = b"".join(member[4])
    assert b"b.pdf: " + reason in report
    assert b"secret" not in report
    assert b"docs" not in report


@pytest.mark.usefixtures("caplog")
@pytest.mark.parametrize("missing", ["skip", "report"])
def test_a_storage_that_gives_nothing_at_all_is_an_error(
    storage: CountingStorage, missing: Any
) -> None:
    make_document(storage, "b")
    storage.errors["docs/b.pdf"] = ConnectionError("no route")
    with pytest.raises(ConnectionError):
        queryset_members(Document.objects.all(), missing=missing)


@pytest.mark.usefixtures("caplog")
@pytest.mark.parametrize(
    ("missing", "names"), [("skip", ["b.pdf"]), ("report", ["b.pdf", "MISSING.txt"])]
)
def test_a_missing_file_of_which_the_row_knows_all_is_found_out(
    storage: CountingStorage, missing: Any, names: list[str]
) -> None:
    make_known_document(storage, "a")
    make_known_document(storage, "b")
    Document.objects.filter(title="b").update(size=5, crc_32=6)
    del storage.files["docs/a.pdf"]
    members = queryset_members(Document.objects.all(), **KNOWN, missing=missing)
    assert names_of(members) == names
    assert (members[0][4].size, members[0][4].crc_32) == (5, 6)  # what the row says, as ever
    assert storage.calls == [("size", "docs/a.pdf"), ("size", "docs/b.pdf")]
    storage.calls.clear()
    # By default nothing is asked.
    assert len(queryset_members(Document.objects.all(), **KNOWN)) == 2
    assert storage.calls == []


@pytest.mark.usefixtures("caplog")
@pytest.mark.parametrize("missing", ["skip", "report"])
def test_a_missing_file_of_this_machine_is_found_out_by_a_look(
    settings: Any, tmp_path: Path, missing: Any
) -> None:
    backend = "django.core.files.storage.FileSystemStorage"
    location = {"BACKEND": backend, "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "default": location}
    for title in ("gone", "closed", "there"):
        path = tmp_path / f"{title}.jpg"
        path.write_bytes(b"twelve bytes")
        known = {"size": 12, "crc_32": zlib.crc32(b"twelve bytes"), "uploaded_at": TIME}
        Document.objects.create(title=title, file=path.name, **known)
    (tmp_path / "gone.jpg").unlink()
    (tmp_path / "closed.jpg").unlink()
    (tmp_path / "closed.jpg").mkdir()  # what root may not read either
    members = queryset_members(Document.objects.all(), **KNOWN, missing=missing)
    assert names_of(members)[:1] == ["there.jpg"]
    assert contents_of(members)["there.jpg"] == b"twelve bytes"
    assert len(members) == (1 if missing == "skip" else 2)


@pytest.mark.usefixtures("storage")
def test_what_a_storage_says_of_a_file_is_one_line_in_the_log(
    storage: CountingStorage, caplog: pytest.LogCaptureFixture
) -> None:
    make_document(storage, "b", file="b.pdf")
    make_document(storage, "a", file="docs/a\nERROR all is lost\r\x1b[2J.pdf")
    storage.errors["docs/a\nERROR all is lost\r\x1b[2J.pdf"] = OSError(
        "no docs/a\nERROR all is lost\r\x1b[2J.pdf"
    )
    queryset_members(Document.objects.all(), missing="skip")
    [record] = caplog.records
    assert record.getMessage().isprintable()
    assert "OSError: no docs/a\\nERROR all is lost" in record.getMessage()


@pytest.mark.usefixtures("one_is_missing", "caplog")
def test_the_report_takes_no_name_from_a_file(storage: CountingStorage) -> None:
    make_document(storage, "d", file="MISSING.txt")
    members = queryset_members(Document.objects.all(), missing="report")
    assert names_of(members) == ["a.pdf", "c.pdf", "MISSING.txt", "MISSING (1).txt"]


@pytest.mark.usefixtures("caplog")
def test_a_report_line_is_one_line_whatever_the_name_is(storage: CountingStorage) -> None:
    make_document(storage, "a\r\nall is well\u2028:\x1b[2J", file="docs/a.pdf")
    storage.files.clear()
    [member] = queryset_members(Document.objects.all(), missing="report", name="title")
    assert len(b"".join(member[4]).decode().splitlines()) == 3


@pytest.mark.usefixtures("storage")
def test_there_is_no_report_where_nothing_is_missing() -> None:
    assert queryset_members(Document.objects.all(), missing="report") == []


@pytest.mark.usefixtures("caplog")
@pytest.mark.parametrize(
    ("missing", "names"), [("skip", ["b.pdf"]), ("report", ["b.pdf", "MISSING.txt"])]
)
def test_a_storage_that_fails_is_treated_as_one_that_misses(
    storage: CountingStorage, missing: Any, names: list[str]
) -> None:
    make_document(storage, "a")
    make_document(storage, "b")
    storage.errors["docs/a.pdf"] = ConnectionError("no answer")
    assert names_of(queryset_members(Document.objects.all(), missing=missing)) == names
    with pytest.raises(ConnectionError):
        queryset_members(Document.objects.all())


# Limits.


@pytest.fixture
def three(storage: CountingStorage) -> QuerySet[Document]:
    """Return three documents of 12 bytes each."""
    for title in "abc":
        make_known_document(storage, title)
    return Document.objects.all()


@pytest.mark.parametrize("options", [{"limit": 3}, {"max_bytes": 36}, {"limit": None}])
def test_what_is_at_the_limit_is_given(three: QuerySet[Document], options: dict[str, Any]) -> None:
    assert len(queryset_members(three, **options)) == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"limit": 2}, TooManyMembersError, "more files than its limit of 2$"),
        ({"max_bytes": 35}, TooManyBytesError, "more bytes than its limit of 35$"),
        ({"limit": 1, "max_bytes": 1}, TooManyBytesError, "more bytes than its limit of 1$"),
    ],
    ids=["members", "bytes", "both"],
)
def test_what_is_over_a_limit_raises(
    three: QuerySet[Document], options: dict[str, Any], error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        queryset_members(three, **options)


@pytest.mark.parametrize(
    ("setting", "error"),
    [({"MAX_MEMBERS": 2}, TooManyMembersError), ({"MAX_BYTES": 35}, TooManyBytesError)],
    ids=["members", "bytes"],
)
def test_the_settings_limit_what_the_call_does_not(
    three: QuerySet[Document], settings: Any, setting: dict[str, int], error: Any
) -> None:
    settings.DJANGO_STREAM_ZIP = setting
    with pytest.raises(error):
        queryset_members(three)
    assert len(queryset_members(three, limit=None, max_bytes=None)) == 3
    assert len(queryset_members(three, limit=3, max_bytes=36)) == 3


def test_no_more_is_asked_of_the_storage_than_the_limit_needs(
    storage: CountingStorage,
) -> None:
    for title in "abcdef":
        make_document(storage, title)
    with pytest.raises(TooManyMembersError):
        queryset_members(Document.objects.all(), limit=2)
    assert len({name for _, name in storage.calls}) == 3


@pytest.mark.usefixtures("one_is_missing", "caplog")
def test_files_that_are_missing_do_not_count() -> None:
    assert len(queryset_members(Document.objects.all(), missing="report", limit=2)) == 3


@pytest.mark.parametrize("name", [None, takes_one], ids=["column", "call"])
def test_no_more_rows_are_asked_of_the_database_than_the_limit_needs(
    storage: CountingStorage, django_assert_num_queries: Assert, name: Any
) -> None:
    fill(30)
    with django_assert_num_queries(1) as queries, pytest.raises(TooManyMembersError):
        queryset_members(Document.objects.all(), limit=10, name=name, **KNOWN)
    assert "LIMIT 11" in queries.captured_queries[0]["sql"]
    with django_assert_num_queries(1) as queries, pytest.raises(TooManyMembersError):
        lazy_queryset_members(Document.objects.all(), limit=10)
    assert "LIMIT 11" in queries.captured_queries[0]["sql"]


@pytest.mark.parametrize("limit", [3, 4, None])
@pytest.mark.parametrize("name", [None, takes_one], ids=["column", "call"])
def test_rows_without_files_do_not_count(
    storage: CountingStorage, limit: int | None, name: Any
) -> None:
    for n in range(20):
        make_document(storage, f"{n}", file=f"{n}.pdf" if n % 7 == 6 or n == 0 else "")
    members = queryset_members(Document.objects.all(), limit=limit, name=name)
    assert len(members) == 3
    with pytest.raises(TooManyMembersError):
        queryset_members(Document.objects.all(), limit=2, name=name)


@pytest.mark.parametrize("limit", [2, None])
@pytest.mark.usefixtures("caplog")
def test_files_that_are_missing_leave_room_for_others(
    storage: CountingStorage, limit: int | None
) -> None:
    for n in range(9):
        make_document(storage, f"{n}")
    for n in range(7):
        del storage.files[f"docs/{n}.pdf"]
    members = queryset_members(Document.objects.all(), missing="skip", limit=limit)
    assert names_of(members) == ["7.pdf", "8.pdf"]


@pytest.mark.parametrize("limit", [6, None])
def test_rows_that_a_join_repeats_are_the_same_with_a_limit(
    storage: CountingStorage, limit: int | None
) -> None:
    Document.objects.bulk_create(Document(file="") for _ in range(5))
    for title in "ab":
        attach(storage, make_document(storage, title), f"{title}1.jpg", f"{title}2.jpg")
    repeated = Document.objects.filter(Q(attachments__isnull=False) | Q(file=""))
    names = names_of(queryset_members(repeated, limit=limit))
    assert names == ["a.pdf", "a (1).pdf", "b.pdf", "b (1).pdf"]
    both = queryset_members(Document.objects.all(), "file", "attachments__file", limit=limit)
    assert sorted(names_of(both)) == ["a.pdf", "a1.jpg", "a2.jpg", "b.pdf", "b1.jpg", "b2.jpg"]


def test_a_slice_of_many_rows_is_joined_in_batches(
    storage: CountingStorage, django_assert_num_queries: Assert
) -> None:
    rows = Document.objects.bulk_create(Document(title=f"{n:04}") for n in range(1201))
    storage.files["a.jpg"] = b"a"
    Attachment.objects.bulk_create(Attachment(document=row, file="a.jpg") for row in rows)
    with django_assert_num_queries(4) as queries:
        members = queryset_members(
            Document.objects.order_by("-title")[:1200], "attachments__file", name="title"
        )
    assert names_of(members) == [f"{n:04}" for n in range(1200, 0, -1)]
    assert max(query["sql"].count(",") for query in queries.captured_queries) < 600


class Sizeless(GenericReader):
    """Knows no size before it has read."""

    def describe(self, *known: Any) -> Metadata:
        return super().describe(*known)._replace(size=None)


@pytest.fixture
def sizeless(storage: CountingStorage, settings: Any) -> QuerySet[Document]:
    """Return three documents of 12 bytes each, of which nobody knows that beforehand."""
    readers = {"tests.support.counting.CountingStorage": f"{__name__}.Sizeless"}
    settings.DJANGO_STREAM_ZIP = {"READERS": readers}
    for title in "abc":
        make_document(storage, title)
    return Document.objects.all()


@pytest.mark.parametrize("prefetched", [0, 8])
def test_bytes_of_unknown_number_are_counted_while_they_are_sent(
    sizeless: QuerySet[Document], settings: Any, prefetched: int
) -> None:
    settings.DJANGO_STREAM_ZIP["PREFETCH_MEMBERS"] = prefetched
    members = queryset_members(sizeless, max_bytes=36)
    for _ in range(2):  # read twice, they aren't more
        assert contents_of(members) == {f"{title}.pdf": content_of(title) for title in "abc"}
    response: Any = zip_response(
        RequestFactory().get("/"), queryset_members(sizeless, max_bytes=35)
    )
    assert "Content-Length" not in response.headers
    with pytest.raises(ZipDownloadError) as caught:
        response.getvalue()
    assert isinstance(caught.value.__cause__, TooManyBytesError)


def test_bytes_that_are_known_count_beside_those_that_are_not(
    sizeless: QuerySet[Document], storage: CountingStorage
) -> None:
    Document.objects.filter(title="a").update(size=12, uploaded_at=TIME)
    options = {"size": "size", "modified_at": "uploaded_at"}
    with pytest.raises(TooManyBytesError):
        contents_of(queryset_members(sizeless, max_bytes=35, **options))
    assert len(contents_of(queryset_members(sizeless, max_bytes=36, **options))) == 3
    with pytest.raises(TooManyBytesError):
        queryset_members(sizeless, max_bytes=11, **options)


# Storages that can't do everything.


class BareStorage(Storage):
    """Opens files, and has none of the methods that are optional."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        return ContentFile(b"bare", name)


@pytest.mark.parametrize("compress", [None, True, False])
@pytest.mark.parametrize("build", [queryset_members, lazy_queryset_members])
@pytest.mark.parametrize("max_bytes", [{}, {"MAX_BYTES": 100}], ids=["any", "few"])
def test_a_storage_that_only_opens_is_enough(
    settings: Any, build: Any, compress: bool | None, max_bytes: dict[str, int]
) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}.BareStorage"}}
    settings.DJANGO_STREAM_ZIP = max_bytes
    Document.objects.create(file="a.jpg")
    response: Any = zip_response(
        RequestFactory().get("/"), build(Document.objects.all(), compress=compress)
    )
    assert "Content-Length" not in response.headers
    assert_reads(response.getvalue(), {"a.jpg": b"bare"}, only=["zipfile"])


@pytest.mark.parametrize("make", [queryset_members, lazy_queryset_members])
@pytest.mark.parametrize(
    ("option", "value"),
    [("limit", "5"), ("limit", -1), ("limit", True), ("compress", "yes"), ("decode", 1)],
)
def test_a_wrong_value_of_an_option_is_said(make: Any, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be .*, not {value!r}$"):
        make(Document.objects.all(), **{option: value})
