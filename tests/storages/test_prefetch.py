"""Read-ahead and S3: how often it is asked, how many at a time, what is left when it ends early."""

from __future__ import annotations

import asyncio
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from io import BytesIO
from typing import Any

import pytest
from django.db.models import FileField
from django.db.models.fields.files import FieldFile
from django.http import Http404
from django.test import AsyncRequestFactory, RequestFactory

from django_stream_zip import stream_zip
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.engine.errors import ZipIntegrityError
from django_stream_zip.members import async_member, field_member, storage_member
from django_stream_zip.members.collect import Collector, StoredFile
from django_stream_zip.members.readers import Metadata
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.prefetch.threads import prefetched
from django_stream_zip.response import zip_response
from django_stream_zip.views import AsyncZipDownloadView, ZipDownloadView
from tests.models import Document
from tests.support import clients
from tests.support.contents import Pattern
from tests.support.contract import DATA, MIB, TIME
from tests.support.network import eventually
from tests.support.object_store import BUCKET, S3Handler, Store, serving

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")

NUMBER = 24
# More than half of them: so many are asked for at once.
HALF = NUMBER // 2 + 1
NAMES = [f"{number:02}.jpg" for number in range(NUMBER)]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, Store]]:
    with serving(S3Handler) as (store, url), clients.s3(url, BUCKET) as storage:
        yield storage, store


@pytest.fixture
def storage(served: tuple[Any, Store]) -> Any:
    return served[0]


@pytest.fixture
def store(served: tuple[Any, Store]) -> Store:
    store = served[1]
    store.reset()
    for number, name in enumerate(NAMES):
        store.put(name, content(number))
    store.faults.latency = 0.02
    return store


def content(number: int) -> bytes:
    return DATA[number : 20_000 + 100 * number]


def known(storage: Any) -> list[Any]:
    """Return members of which nothing has to be asked."""
    return [
        storage_member(storage, name, size=len(content(number)), modified_at=TIME)
        for number, name in enumerate(NAMES)
    ]


def collected(storage: Any, names: list[str] = NAMES, **options: Any) -> list[Any]:
    return list(Collector(**options).members(StoredFile(storage, name) for name in names))


def contents(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(archive)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


EXPECTED = {name: content(number) for number, name in enumerate(NAMES)}


def by_wsgi(members: Any) -> bytes:
    response: Any = zip_response(RequestFactory().get("/"), members)
    try:
        return b"".join(response)
    finally:
        response.close()


def by_asgi(members: Any) -> bytes:
    async def download() -> bytes:
        response: Any = zip_response(AsyncRequestFactory().get("/"), members)
        return b"".join([block async for block in response])

    return asyncio.run(download())


def by_engine(members: Any) -> bytes:
    return b"".join(stream_zip(prefetched(members)))


WAYS = pytest.mark.parametrize("way", [by_wsgi, by_asgi, by_engine])


@WAYS
@pytest.mark.parametrize("of", [list, iter])
def test_so_many_are_fetched_at_a_time_each_by_one_request(
    way: Callable[[Any], bytes], of: Callable[[Any], Any], storage: Any, store: Store
) -> None:
    store.faults.gathers = 3
    assert contents(way(of(known(storage)))) == EXPECTED
    assert store.asked == ["get"] * NUMBER
    assert 2 < store.most_at_once <= 16


def listed(storage: Any) -> list[Any]:
    """Return members as they are written, one by one."""
    return [storage_member(storage, name) for name in NAMES]


def listed_field_files(storage: Any) -> list[Any]:
    field = FileField(storage=storage)
    field.name = field.attname = "file"
    return [field_member(FieldFile(Document(), field, name)) for name in NAMES]


def collected_in_full(storage: Any) -> list[Any]:
    return collected(storage)


MADE = pytest.mark.parametrize("made", [collected_in_full, listed, listed_field_files])


@MADE
@pytest.mark.parametrize("of", [list, iter])
def test_all_are_described_at_a_time_each_by_one_request(
    made: Callable[[Any], list[Any]], of: Callable[[Any], Any], storage: Any, store: Store
) -> None:
    store.faults.gathers = HALF if of is list else 0
    members = made(storage)
    if made is not collected_in_full:
        assert store.asked == []
    response: Any = zip_response(RequestFactory().get("/"), of(members))
    assert ("ETag" in response.headers) == (of is list)
    if of is list:
        assert store.asked == ["head"] * NUMBER
        assert store.most_at_once >= HALF
    assert contents(response.getvalue()) == EXPECTED
    assert store.asked.count("head") == NUMBER
    assert [member[4].size for member in members] == [len(data) for data in EXPECTED.values()]


def test_the_client_keeps_as_many_connections_as_are_used(storage: Any, store: Store) -> None:
    store.faults.gathers = NUMBER
    for _ in range(4):
        store.seen.most_at_once = 0
        zip_response(RequestFactory().get("/"), listed(storage))
    # boto3 alone keeps 10 and opens the others anew each time: 24 + 3 * 14. Here a few may be
    # opened where the next response asks before the last one's connections are given back.
    assert store.connections <= 2 * NUMBER


def test_the_engine_alone_describes_each_in_its_turn(storage: Any, store: Store) -> None:
    assert contents(b"".join(stream_zip(listed(storage)))) == EXPECTED
    assert store.asked == ["head", "get"] * NUMBER
    assert store.most_at_once == 1


def test_an_asynchronous_view_describes_all_at_once(storage: Any, store: Store) -> None:
    class View(AsyncZipDownloadView):
        async def get_members(self) -> Any:
            return listed(storage)

    async def download() -> bytes:
        response: Any = await View.as_view()(AsyncRequestFactory().get("/"))
        assert "ETag" in response.headers
        return b"".join([block async for block in response])

    store.faults.gathers = HALF
    assert contents(asyncio.run(download())) == EXPECTED
    assert store.asked.count("head") == NUMBER
    assert store.most_at_once >= HALF


def test_members_for_the_event_loop_are_described_at_once_too(storage: Any, store: Store) -> None:
    members = [async_member(member) for member in listed(storage)]
    assert store.asked == []
    store.faults.gathers = HALF
    zip_response(AsyncRequestFactory().get("/"), members)
    assert store.asked == ["head"] * NUMBER
    assert store.most_at_once >= HALF


class Listed(ZipDownloadView):
    def get_members(self) -> Any:
        return listed(self.kwargs["storage"])


class AsyncListed(AsyncZipDownloadView):
    async def get_members(self) -> Any:
        return listed(self.kwargs["storage"])


def by_view(storage: Any) -> Any:
    return Listed.as_view()(RequestFactory().get("/"), storage=storage)


def by_async_view(storage: Any) -> Any:
    view: Any = AsyncListed.as_view()
    return asyncio.run(view(AsyncRequestFactory().get("/"), storage=storage))


@pytest.mark.parametrize("answered", [by_view, by_async_view])
def test_a_missing_object_in_a_list_is_not_found(
    answered: Callable[[Any], Any], storage: Any, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    del store.objects[NAMES[12]]
    with pytest.raises(FileNotFoundError):
        zip_response(RequestFactory().get("/"), listed(storage))
    with pytest.raises(Http404):
        answered(storage)
    assert NAMES[12] in caplog.text
    assert eventually(lambda: not describing())


def test_bodies_are_fetched_of_what_is_described(storage: Any, store: Store) -> None:
    members = collected(storage)
    assert [member[0] for member in members] == NAMES
    assert [member[4].size for member in members] == [len(data) for data in EXPECTED.values()]
    assert store.asked == ["head"] * NUMBER
    assert contents(by_wsgi(members)) == EXPECTED
    assert store.asked == ["head"] * NUMBER + ["get"] * NUMBER


def test_nothing_is_asked_of_what_is_known(storage: Any, store: Store) -> None:
    files = [
        StoredFile(storage, name, metadata=Metadata(size=5, modified_at=TIME)) for name in NAMES
    ]
    list(Collector().members(files))
    assert store.asked == []


@pytest.mark.parametrize("missing", ["skip", "report"])
def test_what_is_known_is_asked_for_all_at_once_where_it_may_be_missing(
    missing: Any, storage: Any, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.faults.gathers = HALF
    del store.objects[NAMES[12]]
    files = [
        StoredFile(
            storage, name, metadata=Metadata(5, crc_32=6, modified_at=datetime(2020, 1, 2, 3, 4, 5))
        )
        for name in NAMES
    ]
    members = list(Collector(missing=missing).members(files))
    there = [name for name in NAMES if name != NAMES[12]]
    report = ["MISSING.txt"] if missing == "report" else []
    assert [member[0] for member in members] == there + report
    # What is known counts, as ever.
    known = {(member[1], member[4].size, member[4].crc_32) for member in members[: NUMBER - 1]}
    assert known == {(datetime(2020, 1, 2, 3, 4, 5), 5, 6)}
    assert store.asked == ["head"] * NUMBER
    assert store.most_at_once >= HALF
    assert NAMES[12] in caplog.text


@pytest.mark.parametrize("number", [0, 1, 3])
def test_the_settings_say_how_many(number: int, storage: Any, store: Store, settings: Any) -> None:
    settings.DJANGO_STREAM_ZIP = {"PREFETCH_MEMBERS": number, "DESCRIBE_AT_ONCE": number}
    store.faults.gathers = max(number, 1)
    assert contents(by_wsgi(collected(storage))) == EXPECTED
    assert store.most_at_once == max(number, 1)


def test_what_is_missing_is_reported_in_its_place(
    storage: Any, store: Store, settings: Any
) -> None:
    settings.DJANGO_STREAM_ZIP = {"DESCRIBE_AT_ONCE": 8}  # a busy machine begins all that it may
    names = [*NAMES[:5], "gone.jpg", *NAMES[5:]]
    members = collected(storage, names, missing="report")
    assert [member[0] for member in members] == [*NAMES, "MISSING.txt"]
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        collected(storage, names)
    # Those behind it that were being asked for are heard out, and no others asked.
    assert store.asked.count("head") <= len(names) + 6 + 8
    assert eventually(lambda: not describing())


def describing() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("zip_")]


@pytest.mark.usefixtures("store")
def test_files_are_not_looked_at_far_ahead(storage: Any, settings: Any) -> None:
    settings.DJANGO_STREAM_ZIP = {"DESCRIBE_AT_ONCE": 8}
    asked = 0

    def files() -> Iterator[StoredFile]:
        nonlocal asked
        for name in NAMES:
            asked += 1
            yield StoredFile(storage, name)

    members = Collector().members(files())
    next(members)
    assert asked <= 8
    members.close()
    assert eventually(lambda: not describing())


@WAYS
def test_bodies_that_break_off_twice_are_resumed(
    way: Callable[[Any], bytes], storage: Any, store: Store
) -> None:
    store.faults.break_each = 2
    assert contents(way(known(storage))) == EXPECTED
    assert store.asked == ["get"] * 3 * NUMBER


@WAYS
@pytest.mark.parametrize("fault", ["gone", "replaced", "denied", "more", "fewer"])
def test_what_went_wrong_meanwhile_is_an_error(
    fault: str, way: Callable[[Any], bytes], storage: Any, store: Store
) -> None:
    members = collected(storage)
    if fault == "gone":
        del store.objects[NAMES[12]]
    elif fault == "replaced":
        store.put(NAMES[12], content(12)[::-1])
    elif fault == "denied":
        store.faults.status = 403
    elif fault == "more":
        store.put(NAMES[12], content(12) + b"more")
    else:
        store.put(NAMES[12], content(12)[:-1])
    if fault == "replaced" and way is by_engine:
        # Nobody was told an entity tag: it is one state, the new one.
        assert contents(way(members)) == EXPECTED | {NAMES[12]: content(12)[::-1]}
        return
    errors = (ZipDownloadError, OSError, ContentChangedError, ZipIntegrityError)
    with pytest.raises(errors) as raised:
        way(members)
    assert isinstance(raised.value, ZipDownloadError) or way is by_engine
    assert eventually(lambda: store.open_bodies == 0)
    assert eventually(lambda: not describing())


@pytest.mark.parametrize("is_planned", [True, False])
def test_a_visitor_who_goes_away_closes_every_body(
    is_planned: bool, storage: Any, store: Store
) -> None:
    store.faults.latency = 0
    for name in NAMES:
        store.put(name, Pattern(100 * MIB))
    members = [storage_member(storage, name, size=100 * MIB, modified_at=TIME) for name in NAMES]
    list(members[0][4].chunks(0, 10))
    before = store.connections
    for _ in range(5):
        response: Any = zip_response(
            RequestFactory().get("/"), members if is_planned else iter(members)
        )
        blocks = iter(response)
        for _ in range(30):
            next(blocks)
        response.close()
        assert eventually(lambda: store.open_bodies == 0)
    # What was read to its end is kept for the next request: the client's pool has ten.
    assert eventually(lambda: store.connections <= before + 16)
    assert eventually(lambda: not describing())
