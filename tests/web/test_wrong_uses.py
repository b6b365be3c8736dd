"""What is written by mistake is answered with what to write instead, at the earliest moment.

A row is a wrong call, the exception and the right call that its message has to have.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile, File
from django.core.files.storage import InMemoryStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest
from django.test import AsyncRequestFactory, RequestFactory
from django.utils.functional import lazystr
from django.views import View

import django_stream_zip
from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_AUTO,
    ZipValueError,
    async_stream_zip,
    stream_zip,
)
from django_stream_zip.members import (
    aqueryset_members,
    bytes_member,
    field_member,
    file_member,
    lazy_queryset_members,
    queryset_members,
    storage_member,
)
from django_stream_zip.response import zip_response
from django_stream_zip.views import AsyncZipDownloadView
from tests.models import Book, Document, Folder, Picture
from tests.support.sources import aiterated

NOW = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
MODE = 0o100644
REQUEST = RequestFactory().get("/")
HERE = Path(__file__)

rows = Document.objects.all
storage = InMemoryStorage()
upload = partial(SimpleUploadedFile, "up.txt", b"x")


def a_document() -> Document:
    # Not kept: other tests look whether anybody keeps instances.
    return Document(title="Dawn", file="dawn.jpg")


def member(
    content: Any = (), method: Any = ZIP_32, modified_at: Any = NOW, mode: Any = MODE
) -> Any:
    return "a.txt", modified_at, mode, method, content


def generated() -> Iterator[Any]:
    yield member()


async def agenerated() -> AsyncIterator[Any]:
    yield member(aiterated([b"x"]))


def text_chunks() -> Iterator[bytes]:
    yield b"x"


def respond(members: Any, **options: Any) -> Any:
    return zip_response(REQUEST, members, **options)


# What is a mistake in the list is one in a generator, too: each row is tried with both.
MEMBER: list[tuple[str, Callable[[], Any], str]] = [
    ("an instance", lambda: a_document(), "field_member(document.file)"),
    ("an instance of two files", lambda: Picture(), "field_member(picture.original)"),
    ("a FieldFile", lambda: a_document().file, "field_member(document.file)"),
    ("a FieldFile without a file", lambda: Document().file, "field_member(document.file)"),
    ("text of five letters", lambda: "a.txt", "file_member(path)"),
    ("text", lambda: "photo.jpg", "bytes_member(data, name)"),
    ("a path", lambda: HERE, "file_member(path)"),
    ("bytes", lambda: b"bytes", "bytes_member(data, name)"),
    ("a file", lambda: io.BytesIO(b"1\n2\n3\n4\n5\n"), "bytes_member(file.read(), file.name)"),
    ("an upload", upload, "bytes_member(file.read(), file.name)"),
    ("a QuerySet", rows, "*queryset_members(queryset, …)"),
    ("members", lambda: [member()], "*members"),
    ("a coroutine", lambda: aqueryset_members(rows()), "await aqueryset_members(…)"),
    ("a function", lambda: generated, "generated()"),
    ("its name only", lambda: ("a.txt", NOW), "(name, modified_at, mode, method, chunks)"),
    ("text for the content", lambda: member("hello"), "[text.encode()]"),
    ("bytes for the content", lambda: member(b"hello"), "[data]"),
    ("bytes with a size", lambda: member(b"hi", NO_COMPRESSION_AUTO(2)), "[data]"),
    ("nothing for the content", lambda: member(None), "an iterable of bytes"),
    ("a function for the content", lambda: member(text_chunks), "text_chunks()"),
    ("a method not called", lambda: member([], NO_COMPRESSION_AUTO), "NO_COMPRESSION_AUTO(size)"),
    ("another one", lambda: member([], ZIP_AUTO), "ZIP_AUTO(size)"),
    ("a date", lambda: member(modified_at=date(2024, 2, 29)), "datetime(date.year, "),
    ("seconds", lambda: member(modified_at=1.5), "datetime.fromtimestamp(seconds, UTC)"),
    ("text for a time", lambda: member(modified_at="2024"), "datetime.fromisoformat(text)"),
    ("bytes for a name", lambda: (bytes(999), *member()[1:]), "a member's name must be a str"),
    ("text for a mode", lambda: member(mode="644"), "0o100644"),
]

EVERY_MEMBER = pytest.mark.parametrize(
    ("made", "right"), [row[1:] for row in MEMBER], ids=[row[0] for row in MEMBER]
)


@EVERY_MEMBER
def test_in_a_list_it_is_said_before_the_headers(made: Callable[[], Any], right: str) -> None:
    with pytest.raises((TypeError, ZipValueError)) as raised:
        respond([bytes_member(b"x", "good.jpg"), made()])
    assert right in str(raised.value)
    assert len(str(raised.value)) < 300


@EVERY_MEMBER
def test_in_a_generator_it_is_said_before_the_first_byte(
    made: Callable[[], Any], right: str
) -> None:
    response = respond(made() for _ in range(1))
    blocks = iter(response.streaming_content)
    with pytest.raises(Exception, match=r"failed after 0 bytes") as raised:
        next(blocks)
    assert right in str(raised.value.__cause__)


@EVERY_MEMBER
def test_in_an_async_generator_it_is_said_before_the_first_byte(
    made: Callable[[], Any], right: str
) -> None:
    async def first_block() -> bytes:
        response: Any = zip_response(
            AsyncRequestFactory().get("/"), aiterated(made() for _ in range(1))
        )
        return await anext(aiter(response))

    with pytest.raises(Exception, match=r"failed after 0 bytes") as raised:
        asyncio.run(first_block())
    assert right in str(raised.value.__cause__)


@EVERY_MEMBER
def test_from_an_async_view_it_is_said_before_the_headers(
    made: Callable[[], Any], right: str
) -> None:
    class Download(AsyncZipDownloadView):
        async def get_members(self) -> Any:
            return [made()]

    with pytest.raises((TypeError, ZipValueError)) as raised:
        asyncio.run(Download.as_view()(AsyncRequestFactory().get("/")))
    assert right in str(raised.value)


MEMBERS: list[tuple[str, Callable[[], Any], str]] = [
    ("a QuerySet", rows, "queryset_members(queryset, …)"),
    ("a raw one", lambda: Document.objects.raw("SELECT 1"), "queryset_members(queryset, …)"),
    ("a model", lambda: Document, "queryset_members(Document.objects.all())"),
    ("a manager", lambda: Document.objects, "queryset_members(Document.objects.all())"),
    ("an instance", lambda: a_document(), "[field_member(document.file)]"),
    ("a FieldFile", lambda: a_document().file, "[field_member(document.file)]"),
    ("a dict", lambda: {"a.txt": b"x"}, "[bytes_member(data, name) for name, data in "),
    ("bytes", lambda: b"PK", "[bytes_member(data, name)]"),
    ("a folder", lambda: "dir", "[file_member(path)]"),
    ("a path", lambda: HERE, "[file_member(path)]"),
    ("a file", lambda: io.BytesIO(b"x"), "[bytes_member(file.read(), file.name)]"),
    ("an upload", upload, "[bytes_member(file.read(), file.name)]"),
    ("one member", lambda: file_member(HERE), "[member]"),
    ("one plain member", member, "[member]"),
    ("a coroutine", lambda: aqueryset_members(rows()), "await aqueryset_members(…)"),
    ("a function", lambda: generated, "generated()"),
    ("an async one", lambda: agenerated, "agenerated()"),
    ("nothing", lambda: None, "a list of members"),
    ("a number", lambda: 5, "a list of members"),
]

EVERY_MEMBERS = pytest.mark.parametrize(
    ("made", "right"), [row[1:] for row in MEMBERS], ids=[row[0] for row in MEMBERS]
)


@EVERY_MEMBERS
def test_what_are_no_members_is_said_before_the_headers(
    made: Callable[[], Any], right: str
) -> None:
    with pytest.raises(TypeError, match=r"^expected members, got ") as raised:
        respond(made())
    assert right in str(raised.value)


@EVERY_MEMBERS
def test_what_are_no_members_is_said_in_an_async_view_too(
    made: Callable[[], Any], right: str
) -> None:
    class Download(AsyncZipDownloadView):
        def get_members(self) -> Any:
            given = made()

            async def members() -> Any:
                return given

            return members()

    with pytest.raises(TypeError, match=r"^expected members, got ") as raised:
        asyncio.run(Download.as_view()(AsyncRequestFactory().get("/")))
    assert right in str(raised.value)


async def a_driver_s(members: Any) -> None:
    async for _ in async_stream_zip(members):
        pass


CALLS: list[tuple[str, Callable[[], Any], Any, str]] = [
    # zip_response
    ("swapped", lambda: zip_response([], REQUEST), TypeError, "zip_response(request, members)"),
    ("no request", lambda: zip_response(None, []), TypeError, "zip_response(request, members)"),
    (
        "the view",
        lambda: zip_response(View(request=REQUEST), []),
        TypeError,
        "zip_response(self.request, members)",
    ),
    ("a name of bytes", lambda: respond([], filename=b"a.zip"), TypeError, "name.decode()"),
    ("a path as name", lambda: respond([], filename=HERE), TypeError, "filename=path.name"),
    ("no name", lambda: respond([], filename=None), TypeError, 'filename="archive.zip"'),
    ("a number", lambda: respond([], filename=5), TypeError, 'filename="archive.zip"'),
    # field_member
    ("an instance", lambda: field_member(a_document()), TypeError, "field_member(document.file)"),
    ("a name", lambda: field_member("file"), TypeError, "field_member(instance.file)"),
    ("None", lambda: field_member(None), TypeError, "field_member(instance.file)"),
    (
        "a model",
        lambda: field_member(Document),
        TypeError,
        "queryset_members(Document.objects.all())",
    ),
    ("rows", lambda: field_member(rows()), TypeError, "queryset_members(queryset, …)"),
    ("a manager", lambda: field_member(Document.objects), TypeError, "Document.objects.all()"),
    (
        "Document.file",
        lambda: field_member(Document.file),
        TypeError,
        "field_member(document.file)",
    ),
    ("Document.title", lambda: field_member(Document.title), TypeError, "with an instance"),
    (
        "an upload",
        lambda: field_member(upload()),
        TypeError,
        "bytes_member(file.read(), file.name)",
    ),
    (
        "a File",
        lambda: field_member(File(io.BytesIO(), "a")),
        TypeError,
        "bytes_member(file.read(), file.name)",
    ),
    (
        "a storage",
        lambda: field_member(storage),
        TypeError,
        "storage_member(storage, stored_name)",
    ),
    # queryset_members
    (
        "a model",
        lambda: queryset_members(Document),
        TypeError,
        "queryset_members(Document.objects.all())",
    ),
    (
        "a manager",
        lambda: queryset_members(Document.objects),
        TypeError,
        "queryset_members(Document.objects.all())",
    ),
    (
        "a related manager",
        lambda: queryset_members(Folder(pk=1).document_set),
        TypeError,
        "queryset_members(folder.document_set.all())",
    ),
    (
        "one of many to many",
        lambda: queryset_members(Group(pk=1).permissions),
        TypeError,
        "queryset_members(group.permissions.all())",
    ),
    (
        "a list",
        lambda: queryset_members([a_document()]),
        TypeError,
        "[field_member(document.file) for document in …]",
    ),
    ("an empty list", lambda: queryset_members([]), TypeError, "queryset_members(queryset)"),
    (
        "an instance",
        lambda: queryset_members(a_document()),
        TypeError,
        "field_member(document.file)",
    ),
    (
        "a file",
        lambda: queryset_members(a_document().file),
        TypeError,
        "field_member(document.file)",
    ),
    ("None", lambda: queryset_members(None), TypeError, "queryset_members(queryset)"),
    (
        "a name",
        lambda: queryset_members("file"),
        TypeError,
        "queryset_members(Model.objects.all())",
    ),
    ("a request", lambda: queryset_members(REQUEST), TypeError, "queryset_members(queryset)"),
    ("values()", lambda: queryset_members(rows().values()), TypeError, "without values()"),
    (
        "a list of them",
        lambda: queryset_members(rows().values_list("pk")),
        TypeError,
        "without values()",
    ),
    (
        "a tuple of fields",
        lambda: queryset_members(Picture.objects.all(), ("original", "thumbnail")),
        TypeError,
        'queryset_members(queryset, "original", "thumbnail")',
    ),
    (
        "a list of fields",
        lambda: queryset_members(rows(), ["file"]),
        TypeError,
        'queryset_members(queryset, "file")',
    ),
    (
        "an attribute",
        lambda: queryset_members(rows(), Document.file),
        TypeError,
        'queryset_members(queryset, "file")',
    ),
    (
        "a field",
        lambda: queryset_members(rows(), Document._meta.get_field("file")),
        TypeError,
        'queryset_members(queryset, "file")',
    ),
    ("a wrong field", lambda: queryset_members(rows(), "fiel"), ValueError, "did you mean 'file'?"),
    ("no file", lambda: queryset_members(rows(), "title"), ValueError, "its file fields are file"),
    ("a size", lambda: queryset_members(rows(), size="siez"), ValueError, "did you mean 'size'?"),
    (
        "a title",
        lambda: queryset_members(rows(), name="{titel}"),
        ValueError,
        "did you mean 'title'?",
    ),
    (
        "a column across",
        lambda: queryset_members(rows(), name="folder__nmae"),
        ValueError,
        "did you mean 'name'?",
    ),
    ("an option", lambda: queryset_members(rows(), nme="title"), TypeError, "did you mean 'name'?"),
    ("no option", lambda: queryset_members(rows(), zzz=1), TypeError, "it has queryset, "),
    (
        "a list of names",
        lambda: queryset_members(rows(), name=["title"]),
        TypeError,
        'name="{title}{ext}"',
    ),
    (
        "lazily",
        lambda: lazy_queryset_members(Document.objects),
        TypeError,
        "queryset_members(Document.objects.all())",
    ),
    ("lazily", lambda: lazy_queryset_members(rows(), mising="skip"), TypeError, "'missing'?"),
    (
        "awaited",
        lambda: asyncio.run(aqueryset_members(Document)),  # type: ignore[arg-type]
        TypeError,
        "queryset_members(Document.objects.all())",
    ),
    # file_member
    ("a file", lambda: file_member(SimpleNamespace(read=1)), TypeError, "file_member(path)"),
    (
        "a FieldFile",
        lambda: file_member(a_document().file),
        TypeError,
        "field_member(document.file)",
    ),
    ("an instance", lambda: file_member(a_document()), TypeError, "field_member(document.file)"),
    ("an upload", lambda: file_member(upload()), TypeError, "bytes_member(file.read(), file.name)"),
    ("memory", lambda: file_member(io.BytesIO()), TypeError, "bytes_member(file.read(), name)"),
    ("bytes", lambda: file_member(b"x"), TypeError, "bytes_member(data, name)"),
    ("None", lambda: file_member(None), TypeError, "file_member(path)"),
    (
        "a folder",
        lambda: file_member(f"{HERE.parent}/"),
        IsADirectoryError,
        "file_member(path, name)",
    ),
    ("a date", lambda: file_member(HERE, modified_at=NOW.date()), TypeError, "datetime(date.year"),
    # bytes_member
    ("swapped", lambda: bytes_member("a.txt", bytes(999)), TypeError, "bytes_member(data, name)"),
    ("text", lambda: bytes_member("text", "a.txt"), TypeError, "bytes_member(text.encode(), name)"),
    (
        "a file",
        lambda: bytes_member(io.BytesIO(), "a"),
        TypeError,
        "bytes_member(file.read(), name)",
    ),
    ("a path", lambda: bytes_member(HERE, "a"), TypeError, "file_member(path)"),
    (
        "a FieldFile",
        lambda: bytes_member(a_document().file, "a"),
        TypeError,
        "field_member(document.file)",
    ),
    ("chunks", lambda: bytes_member([b"x"], "a"), TypeError, "(name, modified_at, mode, method, "),
    # storage_member
    (
        "swapped",
        lambda: storage_member("a", storage),
        TypeError,
        "storage_member(storage, stored_name)",
    ),
    (
        "a FieldFile",
        lambda: storage_member(storage, a_document().file),
        TypeError,
        "field_member(document.file)",
    ),
    (
        "a path",
        lambda: storage_member(storage, HERE),
        TypeError,
        "storage_member(storage, str(path))",
    ),
    ("an alias", lambda: storage_member("default", "a"), TypeError, 'storages["default"]'),
    ("a class", lambda: storage_member(InMemoryStorage, "a"), TypeError, "InMemoryStorage(…)"),
    (
        "None",
        lambda: storage_member(storage, None),
        TypeError,
        "storage_member(storage, stored_name)",
    ),
    # the engine's
    ("async ones", lambda: stream_zip(agenerated()), TypeError, "async_stream_zip(members)"),
    ("sync ones", lambda: async_stream_zip([member()]), TypeError, "; use stream_zip(members)"),
    ("a function", lambda: stream_zip(generated), TypeError, "stream_zip(generated())"),
    ("an async one", lambda: async_stream_zip(agenerated), TypeError, "(agenerated())"),
    ("a number", lambda: stream_zip(5), TypeError, "stream_zip([member])"),
    (
        "an async content",
        lambda: list(stream_zip([member(aiterated([]))])),
        TypeError,
        "async_stream_zip",
    ),
    (
        "a sync content",
        lambda: asyncio.run(a_driver_s(aiterated([member([b"x"])]))),
        TypeError,
        "stream_zip",
    ),
    ("text", lambda: next(stream_zip([member("text")])), TypeError, "[text.encode()]"),
    ("bytes", lambda: next(stream_zip([member(b"data")])), TypeError, "[data]"),
    ("a method", lambda: next(stream_zip([member([], ZIP_AUTO)])), TypeError, "ZIP_AUTO(size)"),
    ("five letters", lambda: next(stream_zip(["a.txt"])), ZipValueError, "(name, modified_at, "),
    ("five lines", lambda: next(stream_zip([io.BytesIO(b"\n" * 5)])), ZipValueError, "(name, "),
    ("five keys", lambda: next(stream_zip([dict.fromkeys("abcde")])), ZipValueError, "(name, "),
]


@pytest.mark.parametrize(
    ("call", "error", "right"),
    [row[1:] for row in CALLS],
    ids=[f"{number} {row[0]}" for number, row in enumerate(CALLS)],
)
def test_a_wrong_call_says_the_right_one(
    call: Callable[[], Any], error: type[Exception], right: str
) -> None:
    with pytest.raises(error) as raised:
        call()
    assert right in str(raised.value)
    assert len(str(raised.value)) < 300


def test_an_open_file_has_a_path() -> None:
    with HERE.open("rb") as file, pytest.raises(TypeError, match=r"file_member\(file\.name\)"):
        file_member(file)  # type: ignore[arg-type]


# What isn't wrong.


def test_a_request_that_is_wrapped_is_one() -> None:
    class Wrapped:
        """As REST framework's: it has what Django's has."""

        def __init__(self, request: HttpRequest) -> None:
            self._request = request

        def __getattr__(self, name: str) -> Any:
            return getattr(object.__getattribute__(self, "_request"), name)

    response = zip_response(Wrapped(REQUEST), [])  # type: ignore[arg-type]
    assert response.status_code == 200


def test_a_name_may_be_a_lazy_string() -> None:
    response = respond([], filename=lazystr("fotos.zip"))
    assert response.headers["Content-Disposition"] == 'attachment; filename="fotos.zip"'


def test_a_storage_may_be_the_default_one_or_behave_like_one() -> None:
    class Own:
        def open(self, name: str, mode: str = "rb") -> File:
            return ContentFile(b"x")

    known: Any = {"size": 1, "modified_at": NOW}
    assert storage_member(default_storage, "a.txt", **known)[0] == "a.txt"
    assert storage_member(Own(), "a.txt", **known)[0] == "a.txt"  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", "", ()], ids=repr)
def test_an_empty_content_has_no_chunks(content: Any) -> None:
    assert b"".join(respond([member(content, NO_COMPRESSION_32)]).streaming_content)
    assert b"".join(stream_zip([member(content)]))


def test_a_member_may_be_a_list() -> None:
    assert b"a.txt" in b"".join(respond([[*member([b"x"])]]).streaming_content)


def test_a_coroutine_is_closed() -> None:
    coroutine = aqueryset_members(Book.objects.all())
    with pytest.raises(TypeError, match="await"):
        zip_response(AsyncRequestFactory().get("/"), coroutine)  # type: ignore[arg-type]
    assert coroutine.cr_frame is None


# From where things are imported.

ELSEWHERE = django_stream_zip._ELSEWHERE


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_elsewhere_is_said_to_be_there(name: str) -> None:
    module = f"django_stream_zip.{ELSEWHERE[name]}"
    with pytest.raises(ImportError, match=f"use 'from {module} import {name}'"):
        getattr(django_stream_zip, name)
    assert hasattr(import_module(module), name)


@pytest.mark.parametrize("module", django_stream_zip._DJANGOS_SIDE)
def test_all_of_a_module_is_said_to_be_there(module: str) -> None:
    there = import_module(f"django_stream_zip.{module}")
    assert django_stream_zip._DJANGOS_SIDE[module] == [*there.__all__]
    assert not {*there.__all__} & {*django_stream_zip.__all__}


@pytest.mark.parametrize("module", django_stream_zip._DJANGOS_SIDE)
def test_completion_offers_nothing_else(module: str) -> None:
    there = import_module(f"django_stream_zip.{module}")
    offered = {name for name in dir(there) if not isinstance(getattr(there, name), ModuleType)}
    assert {name for name in offered if name[0] != "_"} - {"annotations"} == {*there.__all__}


def test_another_name_is_nowhere() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'zip_answer'"):
        _ = django_stream_zip.zip_answer
    assert not hasattr(django_stream_zip, "zip_answer")


def test_it_is_said_without_django() -> None:
    script = """
import sys
sys.modules["django"] = None
try:
    from django_stream_zip import zip_response
except ImportError as error:
    assert "from django_stream_zip.response import zip_response" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=HERE.parents[2])
