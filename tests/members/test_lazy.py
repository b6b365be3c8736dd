"""Members of a queryset page by page, while the archive is sent: queries, order, memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from django.db.models import Count
from django.test import RequestFactory

from django_stream_zip import stream_zip
from django_stream_zip.members import (
    TooManyMembersError,
    lazy_queryset_members,
)
from django_stream_zip.response import zip_response
from tests.models import Attachment, Contract, Document, Folder, Scan
from tests.servers.harness import ROOT
from tests.support.counting import TIME, CountingStorage
from tests.support.readers import assert_reads
from tests.support.rows import (
    KNOWN,
    content_of,
    contents_of,
    make_document,
    make_known_document,
    names_of,
)

pytestmark = pytest.mark.django_db

Assert = Callable[..., Any]
MIB = 1 << 20


def fill(count: int) -> None:
    """Make rows that tell all of files which are not there, as nobody is to ask for them."""
    Document.objects.bulk_create(
        Document(title=str(n), file=f"{n}.jpg", size=4, uploaded_at=TIME) for n in range(count)
    )


# What is given.


def test_each_file_is_given_once_in_the_order_of_primary_keys(storage: CountingStorage) -> None:
    fill(2500)
    members = lazy_queryset_members(Document.objects.order_by("-title"), **KNOWN)
    assert names_of(members) == [f"{n}.jpg" for n in range(2500)]


@pytest.mark.parametrize("rows", [0, 1, 999, 1000, 1001, 2000])
def test_pages_need_not_be_full(storage: CountingStorage, rows: int) -> None:
    fill(rows)
    assert len(list(lazy_queryset_members(Document.objects.all(), **KNOWN))) == rows


def test_the_archive_is_whole(storage: CountingStorage) -> None:
    make_document(storage, "a")
    make_document(storage, "b", file="")
    make_document(storage, "c", file="c.txt")
    archive = b"".join(stream_zip(lazy_queryset_members(Document.objects.all())))
    assert_reads(archive, {"a.pdf": content_of("a"), "c.txt": content_of("c")}, only=["zipfile"])


def test_members_are_named_and_described_as_in_the_other_form(storage: CountingStorage) -> None:
    make_known_document(storage, "a", folder=Folder.objects.create(name="f"))
    members = lazy_queryset_members(Document.objects.all(), name="{folder.name}/{title}", **KNOWN)
    assert names_of(members) == ["f/a"]
    assert storage.calls == []


def test_names_are_unique_across_pages(storage: CountingStorage) -> None:
    Document.objects.bulk_create(
        Document(file="same.jpg", size=4, uploaded_at=TIME) for _ in range(1002)
    )
    names = names_of(lazy_queryset_members(Document.objects.all(), **KNOWN))
    assert names[:2] == ["same.jpg", "same (1).jpg"]
    assert names[-1] == "same (1001).jpg"


def test_rows_are_filtered_and_counted_as_the_queryset_says(storage: CountingStorage) -> None:
    document = make_document(storage, "a")
    make_document(storage, "b")
    for number in range(2):
        storage.files[f"{number}.jpg"] = b"x"
        Attachment.objects.create(document=document, file=f"{number}.jpg")
    rows = Document.objects.annotate(count=Count("attachments")).filter(count__gt=1)
    assert names_of(lazy_queryset_members(rows)) == ["a.pdf"]
    related = lazy_queryset_members(Document.objects.all(), "attachments__file")
    assert sorted(names_of(related)) == ["0.jpg", "1.jpg"]


def test_primary_keys_need_not_be_numbers(storage: CountingStorage) -> None:
    storage.files["scan.jpg"] = b"scan"
    Scan.objects.bulk_create(Scan(file="scan.jpg") for _ in range(1500))
    assert len(contents_of(lazy_queryset_members(Scan.objects.all()))) == 1500


def test_primary_keys_may_be_foreign_ones(storage: CountingStorage) -> None:
    storage.files["contract.pdf"] = b"contract"
    Contract.objects.create(file="contract.pdf")
    assert names_of(lazy_queryset_members(Contract.objects.all())) == ["contract.pdf"]


# When.


def test_nothing_is_asked_before_the_first_member_is_wanted(
    storage: CountingStorage, django_assert_num_queries: Assert
) -> None:
    make_document(storage, "a")
    with django_assert_num_queries(0):
        members = lazy_queryset_members(Document.objects.all())
    assert storage.calls == []
    assert names_of(members) == ["a.pdf"]


def test_there_are_two_queries_for_each_thousand_rows(
    storage: CountingStorage, django_assert_num_queries: Assert
) -> None:
    fill(2500)
    with django_assert_num_queries(7):
        list(lazy_queryset_members(Document.objects.all(), **KNOWN))


def test_pages_are_queried_when_they_are_wanted(
    storage: CountingStorage, django_assert_num_queries: Assert
) -> None:
    fill(2500)
    members = lazy_queryset_members(Document.objects.all(), **KNOWN)
    for queries, count in ((2, 1), (0, 999), (2, 1), (0, 999), (2, 1)):
        with django_assert_num_queries(queries):
            assert len(list(islice(members, count))) == count


def test_every_query_is_for_a_limited_number_of_rows(
    storage: CountingStorage, django_assert_num_queries: Assert
) -> None:
    fill(1001)
    with django_assert_num_queries(5) as queries:
        list(lazy_queryset_members(Document.objects.all(), **KNOWN))
    for query in queries.captured_queries:
        assert "LIMIT 1000" in query["sql"] or '"id" <= ' in query["sql"]


def test_rows_that_come_and_go_meanwhile_do_no_harm(storage: CountingStorage) -> None:
    fill(2000)
    members = lazy_queryset_members(Document.objects.all(), **KNOWN)
    given = list(islice(members, 500))
    Document.objects.filter(title__in=["3", "1500"]).delete()
    fill(1)
    assert names_of([*given, *members]) == [
        *(f"{n}.jpg" for n in range(2000) if n != 1500),
        "0 (1).jpg",
    ]


def test_the_archive_has_no_length_and_no_ranges(storage: CountingStorage) -> None:
    make_known_document(storage, "a")
    members = lazy_queryset_members(Document.objects.all(), **KNOWN)
    headers = zip_response(RequestFactory().get("/"), members).headers
    assert headers.keys().isdisjoint({"Content-Length", "ETag", "Accept-Ranges"})


# What goes wrong.


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(lambda: Document.objects.all()[:1], id="slice"),
        pytest.param(lambda: Document.objects.all().union(Document.objects.all()), id="union"),
    ],
)
def test_what_has_no_pages_is_refused_at_once(storage: CountingStorage, rows: Any) -> None:
    make_document(storage, "a")
    with pytest.raises((ValueError, TypeError)):
        lazy_queryset_members(rows())


def test_fields_that_are_wrong_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="no field 'nope'"):
        lazy_queryset_members(Document.objects.all(), name="nope")


def test_a_missing_file_breaks_off(storage: CountingStorage) -> None:
    make_document(storage, "a")
    make_document(storage, "b")
    del storage.files["docs/b.pdf"]
    members = lazy_queryset_members(Document.objects.all())
    assert next(members)[0] == "a.pdf"
    with pytest.raises(FileNotFoundError):
        next(members)


@pytest.mark.usefixtures("caplog")
def test_missing_files_can_be_reported(storage: CountingStorage) -> None:
    make_document(storage, "a")
    make_document(storage, "b")
    del storage.files["docs/a.pdf"]
    contents = contents_of(lazy_queryset_members(Document.objects.all(), missing="report"))
    assert list(contents) == ["b.pdf", "MISSING.txt"]
    assert b"a.pdf: not found" in contents["MISSING.txt"]


@pytest.mark.parametrize("limit", [{"limit": 2}, {}], ids=["argument", "setting"])
def test_the_limit_is_checked_at_once(
    storage: CountingStorage, settings: Any, limit: dict[str, int]
) -> None:
    settings.DJANGO_STREAM_ZIP = {"MAX_MEMBERS": 2}
    fill(3)
    with pytest.raises(TooManyMembersError, match="more files than its limit of 2"):
        lazy_queryset_members(Document.objects.all(), **limit)
    assert len(list(lazy_queryset_members(Document.objects.all(), limit=3, **KNOWN))) == 3


# Memory.


def measured(rows: int) -> dict[str, int]:
    """Send the archive of so many rows in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.members.memory", str(rows)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, int] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(
    ("rows", "most"),
    [
        pytest.param(20_000, 16 * MIB, id="20,000 rows"),
        pytest.param(1_000_000, 64 * MIB, id="1,000,000 rows", marks=pytest.mark.slow),
    ],
)
def test_memory_does_not_grow_but_for_the_central_directory(rows: int, most: int) -> None:
    told = measured(rows)
    assert told["length"] > rows * 100
    assert told["taken"] - told["directory"] < most
