"""Files of this machine under ASGI: read on the loop where nothing waits, else by a thread."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.test import AsyncRequestFactory, RequestFactory

from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import bytes_member, file_member, files, page_cache, storage_member
from django_stream_zip.response import zip_response
from django_stream_zip.signals import zip_download_finished
from tests.support.contents import counting_member, open_files

LARGE, SMALL = 1_000_000, 5_000
OLD = 1_700_000_000


@pytest.fixture(scope="module", autouse=True)
def _known_flag(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("flag") / "a"
    path.write_bytes(b"a")
    if not page_cache.look_at(str(path)):
        pytest.skip("the file system of temporary files has no reads that don't wait")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Return files of several sizes, which were modified long ago."""
    sizes = (LARGE, SMALL, 0, LARGE + 1, 70_000, LARGE)
    paths = [tmp_path / f"{number}.jpg" for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(os.urandom(size))
        os.utime(path, (OLD, OLD))
    return paths


def of_paths(photos: list[Path]) -> list[Any]:
    return [file_member(path) for path in photos]


def of_storage(photos: list[Path]) -> list[Any]:
    storage = FileSystemStorage(location=str(photos[0].parent))
    return [storage_member(storage, path.name) for path in photos]


def among_others(photos: list[Path]) -> list[Any]:
    """Return them with members that wait for each chunk, and one that never does."""
    members = of_paths(photos)
    members.insert(1, counting_member("counted.jpg", os.urandom(300_000)))
    members.insert(2, bytes_member(os.urandom(300_000), "bytes.jpg"))
    members.append(counting_member("last.jpg", os.urandom(300_000)))
    return members


WAYS = [of_paths, of_storage, among_others]


def by_wsgi(members: list[Any], **headers: str) -> bytes:
    return b"".join(zip_response(RequestFactory().get("/", headers=headers), members))  # type: ignore[arg-type]


def by_asgi(
    members: list[Any], *, after_first: Callable[[], object] = bool, **headers: str
) -> bytes:
    async def read() -> bytes:
        request = AsyncRequestFactory().get("/", headers=headers)
        blocks = aiter(zip_response(request, members))  # type: ignore[arg-type]
        data = [await anext(blocks)]
        after_first()
        return b"".join(data + [block async for block in blocks])

    return asyncio.run(read())


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[dict[str, list[bool]]]:
    """Note of each call of a function of `os` whether it was on this thread, the event loop's."""
    calls: dict[str, list[bool]] = {name: [] for name in names}

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            # Of what else has a name: asyncio's debugging looks for sources.
            if not isinstance(args[0], str) or args[0].endswith(".jpg"):
                calls[name].append(get_ident() == own)
            return function(*args)

        return call

    own = get_ident()
    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(os, name, noting(name, getattr(os, name)))
        yield calls


def refused(monkeypatch: pytest.MonkeyPatch, number: int, every: int = 1) -> None:
    """Have each so many-th read that doesn't wait refused, as the kernel may do."""
    read, count = os.preadv, 0

    def preadv(*args: Any) -> int:
        nonlocal count
        count += 1
        if count % every == 0:
            raise OSError(number, os.strerror(number))
        return read(*args)

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(page_cache, "_devices", {})


@pytest.mark.parametrize("made", WAYS)
@pytest.mark.parametrize("range_", ["", "bytes=500000-", "bytes=1500000-2050000", "bytes=-300"])
def test_the_bytes_are_those_under_wsgi(
    made: Callable[[list[Path]], list[Any]], range_: str, photos: list[Path]
) -> None:
    headers = {"Range": range_} if range_ else {}
    members = made(photos)
    assert by_asgi(members, **headers) == by_wsgi(members, **headers)


@pytest.mark.parametrize("made", [of_paths, of_storage])
def test_what_is_in_the_page_cache_is_read_on_the_loop(
    made: Callable[[list[Path]], list[Any]], photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = made(photos)
    for path in photos:
        path.read_bytes()
    with watched(monkeypatch, "preadv", "read", "stat") as calls:
        by_asgi(members)
    # The first file is. What follows the next one, which has to be opened, may come from a thread.
    read = 65531 * calls["preadv"].count(True)
    assert read > 0.9 * LARGE
    assert not any(calls["read"])
    assert not any(calls["stat"])


@pytest.mark.parametrize("made", WAYS)
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP])
@pytest.mark.parametrize("every", [1, 7])
def test_a_thread_reads_what_would_wait(
    made: Callable[[list[Path]], list[Any]],
    number: int,
    every: int,
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = made(photos)
    expected = by_wsgi(members)
    refused(monkeypatch, number, every)
    with watched(monkeypatch, "read") as calls:
        assert by_asgi(members) == expected
    assert calls["read"]
    assert not any(calls["read"])


def test_where_the_flag_is_not_known_files_are_opened_and_closed_by_the_thread_only(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = of_paths(photos)
    refused(monkeypatch, errno.EOPNOTSUPP)
    with watched(monkeypatch, "open", "fstat", "close", "read") as calls:
        by_asgi(members)
    assert len(calls["open"]) >= len(photos)
    assert not any(any(each) for each in calls.values())


def test_what_is_no_file_says_nothing_of_its_file_system(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "_devices", {})
    pipe = photos[0].with_name("pipe")
    os.mkfifo(pipe)
    for path in (photos[0].parent, pipe):
        assert not page_cache.look_at(str(path))
    assert page_cache.look_at(str(photos[0]))


def test_where_there_is_no_flag_it_is_the_same(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = among_others(photos)
    expected = by_wsgi(members)
    monkeypatch.setattr(page_cache, "_NO_WAIT", None)
    monkeypatch.setattr(page_cache, "_devices", {})
    with watched(monkeypatch, "open", "fstat", "close", "read") as calls:
        assert by_asgi(members) == expected
    assert not any(any(each) for each in calls.values())


def test_files_that_are_not_in_the_page_cache_arrive(photos: list[Path]) -> None:
    members = of_paths(photos)
    expected = by_wsgi(members)
    for path in photos:
        with path.open("rb") as file:
            os.fsync(file)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert by_asgi(members) == expected


def rewritten(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def truncated(path: Path) -> None:
    os.truncate(path, 300_000)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("change", [rewritten, truncated, grown, removed])
def test_what_is_changed_meanwhile_is_never_a_mixture(
    change: Callable[[Path], None], number: int, photos: list[Path]
) -> None:
    members = of_paths(photos)
    expected = by_wsgi(members)
    data = b""
    try:
        data = by_asgi(members, after_first=lambda: change(photos[number]))
    except ZipDownloadError:
        assert not (number == 0 and change in (grown, removed))
    else:
        assert data == expected
        assert number == 0
        assert change in (grown, removed)


@pytest.mark.parametrize("is_broken", [False, True])
def test_the_end_is_reported_in_a_thread(
    is_broken: bool, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    # As if the files were old: what was written to just before is looked at again in a thread.
    monkeypatch.setattr(files, "_SETTLES_AFTER", -60)

    def finish(**values: Any) -> None:
        threads.append(get_ident())

    def log(record: logging.LogRecord) -> bool:
        threads.append(get_ident())
        return True

    zip_download_finished.connect(finish)
    logger = logging.getLogger("django_stream_zip")
    logger.addFilter(log)
    try:
        change = (lambda: truncated(photos[0])) if is_broken else bool
        by_asgi(of_paths(photos), after_first=change)
    except ZipDownloadError:
        assert is_broken
    finally:
        logger.removeFilter(log)
        zip_download_finished.disconnect(finish)
    assert len(threads) == 1 + is_broken
    assert get_ident() not in threads


@pytest.mark.parametrize("blocks_taken", [1, 10, 25])
def test_a_client_who_goes_away_leaves_no_file_open(blocks_taken: int, photos: list[Path]) -> None:
    before = open_files()

    async def read() -> None:
        response: Any = zip_response(AsyncRequestFactory().get("/"), of_paths(photos))
        blocks = aiter(response)
        for _ in range(blocks_taken):
            await anext(blocks)
        await blocks.aclose()

    asyncio.run(read())
    assert open_files() == before


def test_what_a_middleware_puts_around_it_runs_in_a_thread(photos: list[Path]) -> None:
    threads = set()

    def wrapped(blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            threads.add(get_ident())
            if block:
                yield block

    async def read() -> bytes:
        response: Any = zip_response(AsyncRequestFactory().get("/"), members)
        response.streaming_content = wrapped(response.streaming_content)
        return b"".join([block async for block in response])

    members = of_paths(photos)
    assert asyncio.run(read()) == by_wsgi(members)
    assert threads
    assert get_ident() not in threads
