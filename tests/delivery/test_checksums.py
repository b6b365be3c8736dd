"""CRC-32s in Django's cache: learned while sending, of use to who resumes, and never needed."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncRequestFactory, RequestFactory

from django_stream_zip import NO_COMPRESSION_AUTO, stream_zip
from django_stream_zip.delivery.checksums import CachedChecksums
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import file_member
from django_stream_zip.members.files import BytesContent
from django_stream_zip.response import zip_response
from tests.support.contents import ContentMember, CountingContent, counting_member

CONTENT = random.Random(1).randbytes(100_000)

CALLS: list[tuple[str, int]] = []


class CountingCache(LocMemCache):
    """Notes how many keys come with each call."""

    def get_many(self, keys: Any, version: Any = None) -> Any:
        CALLS.append(("get_many", len(keys)))
        return super().get_many(keys, version)

    def set_many(self, data: Any, timeout: Any = None, version: Any = None) -> Any:
        CALLS.append(("set_many", len(data)))
        return super().set_many(data, timeout, version)


class BrokenCache(BaseCache):
    """A cache whose server is down."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        CALLS.append(("get", 1))
        raise ConnectionError("the cache is down")

    def get_many(self, keys: Any, version: Any = None) -> Any:
        CALLS.append(("get_many", len(keys)))
        raise ConnectionError("the cache is down")

    def set_many(self, data: Any, timeout: Any = None, version: Any = None) -> Any:
        CALLS.append(("set_many", len(data)))
        raise ConnectionError("the cache is down")


def cache(name: str) -> dict[str, Any]:
    return {
        "BACKEND": f"tests.delivery.test_checksums.{name}",
        "LOCATION": name,
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }


@pytest.fixture(autouse=True)
def _caches(settings: Any) -> Iterator[None]:
    settings.CACHES = {
        "default": cache("CountingCache"),
        "other": {**cache("CountingCache"), "LOCATION": "other"},
        "broken": cache("BrokenCache"),
        "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    }
    CALLS.clear()
    yield
    caches["default"].clear()
    caches["other"].clear()


def use(settings: Any, **values: Any) -> None:
    settings.DJANGO_STREAM_ZIP = values


def download(members: list[ContentMember], range_: str = "") -> bytes:
    request = RequestFactory().get("/", headers={"Range": range_})
    response: Any = zip_response(request, members)
    try:
        return b"".join(response)
    finally:
        response.close()


class AsyncContent:
    """A content that is read on the event loop."""

    def __init__(self, content: CountingContent) -> None:
        self.content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self.content, name)

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        for chunk in self.content.chunks(start, stop):
            yield chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()


def asynchronous(members: list[ContentMember]) -> Any:
    return [(*member, AsyncContent(content)) for *member, content in members]


def adownload(members: list[ContentMember], range_: str = "") -> bytes:
    """Download under ASGI, where the archive is made on the event loop."""

    async def read() -> bytes:
        request = AsyncRequestFactory().get("/", headers={"Range": range_})
        response: Any = zip_response(request, asynchronous(members))
        return b"".join([block async for block in response])

    return asyncio.run(read())


def photos(number: int = 3, **kwargs: Any) -> list[ContentMember]:
    return [counting_member(f"{n}.jpg", CONTENT[n : n + 50_000], **kwargs) for n in range(number)]


def archive_of(members: list[ContentMember]) -> bytes:
    archive = b"".join(stream_zip(members))
    forget(members)
    return archive


def forget(members: list[ContentMember]) -> None:
    for *_, content in members:
        content.forget()


def opened(members: list[ContentMember]) -> list[int]:
    return [content.opened for *_, content in members]


EITHER = pytest.mark.parametrize("get", [download, adownload], ids=["sync", "async"])


@EITHER
def test_checksums_that_were_learned_are_in_the_cache(get: Callable[..., bytes]) -> None:
    members = photos()
    get(members)
    contents = [content for *_, content in members]
    known = CachedChecksums().known(contents)
    key = CachedChecksums().key
    assert known == {key(content): zlib.crc32(content.data) for content in contents}
    assert caches["default"].get_many(list(known)) == known


@EITHER
def test_who_resumes_at_the_end_has_nothing_read_that_was_sent(get: Callable[..., bytes]) -> None:
    members = photos()
    archive = archive_of(members)
    get(members)
    forget(members)
    assert get(members, "bytes=-190") == archive[-190:]
    assert opened(members) == [0, 0, 0]


@EITHER
def test_who_resumes_in_the_middle_has_only_the_rest_read(get: Callable[..., bytes]) -> None:
    members = photos()
    archive = archive_of(members)
    get(members)
    forget(members)
    assert get(members, "bytes=75000-") == archive[75_000:]
    assert opened(members) == [0, 1, 1]
    assert members[1][4].asked[0][0] > 20_000


@EITHER
def test_what_was_learned_before_an_interruption_is_kept(get: Callable[..., bytes]) -> None:
    members = photos()
    get(members, "bytes=0-120000")
    forget(members)
    get(members, "bytes=120001-")
    assert opened(members)[:2] == [0, 0]
    assert members[2][4].was_given == (0, 50_000)


def test_a_client_who_goes_away_leaves_what_was_learned() -> None:
    members = photos()
    response: Any = zip_response(RequestFactory().get("/"), members)
    for _, _block in zip(range(2), response, strict=False):
        pass
    response.close()
    known = CachedChecksums().known([content for *_, content in members])
    assert len(known) >= 1


@EITHER
def test_without_a_cache_members_are_read_again_and_the_bytes_are_the_same(
    settings: Any, get: Callable[..., bytes]
) -> None:
    use(settings, CRC_32_CACHE=None)
    members = photos()
    archive = archive_of(members)
    get(members)
    forget(members)
    assert get(members, "bytes=-190") == archive[-190:]
    assert opened(members) == [1, 1, 1]
    assert CALLS == []


@pytest.mark.parametrize("alias", ["default", "other", "dummy", "broken", None])
@pytest.mark.parametrize("range_", ["", "bytes=60000-", "bytes=-190", "bytes=10-20"])
def test_the_bytes_do_not_depend_on_the_cache(settings: Any, alias: str, range_: str) -> None:
    use(settings, CRC_32_CACHE=alias)
    members = photos()
    archive = archive_of(members)
    expected = {"": archive, "bytes=10-20": archive[10:21]}.get(range_)
    for _ in range(2):
        data = download(members, range_)
        assert data == (archive[-len(data) :] if expected is None else expected)


def test_the_setting_names_the_cache(settings: Any) -> None:
    use(settings, CRC_32_CACHE="other")
    members = photos()
    download(members)
    keys = [CachedChecksums().key(content) for *_, content in members]
    assert len(caches["other"].get_many(keys)) == 3
    assert caches["default"].get_many(keys) == {}


@pytest.mark.parametrize("timeout", [None, 1, 1000])
def test_the_setting_tells_how_long_they_are_kept(
    settings: Any, timeout: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(settings, CRC_32_CACHE_TIMEOUT=timeout)
    seen: list[Any] = []

    def set_many(self: Any, data: Any, timeout: Any = 300, version: Any = None) -> list[str]:
        seen.append(timeout)
        return []

    monkeypatch.setattr(CountingCache, "set_many", set_many)
    download(photos())
    assert seen == [timeout]


@EITHER
def test_a_broken_cache_breaks_no_download_and_is_warned_of(
    settings: Any, get: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    use(settings, CRC_32_CACHE="broken")
    members = photos()
    archive = archive_of(members)
    assert get(members) == archive
    assert get(members, "bytes=-190") == archive[-190:]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert {record.name for record in caplog.records} == {"django_stream_zip"}
    assert "'broken'" in caplog.messages[0]


# A cache that fails costs no download, but a wrong setting is none: it is refused before a byte.
@pytest.mark.parametrize("factory", [RequestFactory, AsyncRequestFactory])
def test_an_alias_that_is_none_is_refused_before_the_first_byte(
    factory: Any, settings: Any
) -> None:
    use(settings, CRC_32_CACHE="missing")
    with pytest.raises(ImproperlyConfigured, match=r"CRC_32_CACHE.* alias of a cache.*'missing'"):
        zip_response(factory().get("/"), photos())


# 100,000 members would be 500 time-outs before the first byte of a resumed download.
def test_a_broken_cache_is_asked_once(settings: Any) -> None:
    use(settings, CRC_32_CACHE="broken")
    members = [counting_member(f"{n}.jpg", b"x") for n in range(1000)]
    download(members, "bytes=-60000")
    assert CALLS == [("get", 1)]


# Which content a checksum is of.


def test_a_content_that_has_changed_is_not_taken_for_what_it_was() -> None:
    members = photos()
    download(members)
    for *_, content in members:
        content.data = content.data[::-1]
        content.validator = "state 2"
    archive = archive_of(members)
    assert download(members, "bytes=-200") == archive[-200:]
    assert opened(members) == [1, 1, 1]


def test_contents_of_one_state_are_told_apart_by_their_identity() -> None:
    download(photos())
    members = [counting_member(f"{n}.jpg", CONTENT[n:5000], identity="other") for n in (1, 2)]
    members[1][4].identity = "another"
    archive = archive_of(members)
    assert download(members, "bytes=-200") == archive[-200:]


def test_identity_and_validator_do_not_run_together() -> None:
    def key(identity: str, validator: str) -> str:
        return CachedChecksums().key(CountingContent(identity=identity, validator=validator))

    assert key("a", "b c") != key("a b", "c")
    assert key("1 a", "b") != key("1", "a b")
    assert key("a", "b") == key("a", "b")


@pytest.mark.parametrize(
    "identity",
    [
        "x" * 10_000,
        "with spaces\n\0",
        "文件😀",
        # BUG: `key` can't encode it, and the download fails behind that member. It is what Python
        # makes of a file name in Latin-1 ('/media/gr\xfc\xdfe.jpg') on a system with UTF-8.
        "file:/media/gr\udcfc\udcdfe.jpg",
    ],
    ids=["long", "spaces and controls", "Unicode", "undecodable path"],
)
def test_any_identity_makes_a_key_that_caches_take(identity: str) -> None:
    key = CachedChecksums().key(CountingContent(identity=identity))
    assert len(key) < 200
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key


def test_a_file_on_disk_that_is_replaced_has_its_checksum_found_again(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    for number, data in enumerate([b"before", b"behind"]):
        file.write_bytes(data)
        os.utime(file, (number, number))
        members: Any = [file_member(file)]
        assert download(members) == b"".join(stream_zip(members))
        assert download(members, "bytes=-90") == b"".join(stream_zip(members))[-90:]


def test_only_what_nobody_knows_is_asked_for() -> None:
    members = [
        *photos(2),
        counting_member("known.jpg", b"known", promised=True),
        counting_member("known too.jpg", b"known", crc_32=zlib.crc32(b"known")),
    ]
    download(members, "bytes=-250")
    assert CALLS[0] == ("get_many", 2)


def test_an_archive_without_a_tag_has_nothing_to_do_with_the_cache() -> None:
    download(photos(validator=None))
    assert CALLS == []


def test_a_range_without_the_directory_asks_for_nothing_it_does_not_need() -> None:
    members = photos()
    download(members, "bytes=0-100")
    download(members, "bytes=100-200")
    download(members, f"bytes={60_000}-{60_100}")
    assert sum(number for _, number in CALLS) <= 3
    assert opened(members) == [2, 1, 0]


class LocalContent(CountingContent):
    """A content of this machine: what it is here, beside what others see of it."""

    local_state = "inode 1"


def local_member(name: str, data: bytes, **state: Any) -> ContentMember:
    *opening, _ = counting_member(name, data)
    content = LocalContent(data, identity=name)
    vars(content).update(state)
    return (*opening, content)  # type: ignore[return-value]


@EITHER
@pytest.mark.parametrize("alias", ["default", None])
def test_the_checksum_of_a_short_local_file_is_neither_asked_for_nor_learned(
    get: Callable[..., bytes], alias: str | None, settings: Any
) -> None:
    use(settings, CRC_32_CACHE=alias)
    members = [local_member(f"{n}.jpg", CONTENT[:3000]) for n in range(300)]
    members.append(local_member("long.jpg", CONTENT[:70_000]))
    archive = archive_of(members)
    assert get(members) == archive
    asked = [number for name, number in CALLS if name == "get_many"]
    assert (asked, CALLS) == ([], [("set_many", 1)] if alias else [])
    forget(members)
    start = archive.index(b"PK\x01\x02")
    assert get(members, f"bytes={start}-") == archive[start:]
    assert opened(members) == [1] * 300 + [0 if alias else 1]


@EITHER
def test_a_local_file_is_another_one_in_another_state_of_its_own(
    get: Callable[..., bytes],
) -> None:
    get([local_member("a.jpg", CONTENT[:70_000])])
    members = [local_member("a.jpg", CONTENT[:70_000][::-1], local_state="inode 2")]
    archive = archive_of(members)
    assert get(members, "bytes=-60") == archive[-60:]
    assert opened(members) == [1]


@EITHER
def test_nothing_is_learned_of_a_file_that_may_change_without_a_sign(
    get: Callable[..., bytes],
) -> None:
    members = [local_member("a.jpg", CONTENT[:70_000], is_settled=False)]
    get(members)
    assert CachedChecksums().known([members[0][4]]) == {}


@EITHER
def test_a_range_is_checked_and_made_by_one_question_to_the_cache(
    get: Callable[..., bytes], settings: Any
) -> None:
    use(settings, MAX_UNSENT_BYTES=1000)
    members = photos()
    archive = archive_of(members)
    get(members)
    CALLS.clear()
    assert get(members, "bytes=-190") == archive[-190:]
    assert CALLS == [("get_many", 3)]


@EITHER
def test_a_range_that_has_too_much_read_unsent_is_ignored(
    get: Callable[..., bytes], settings: Any
) -> None:
    use(settings, CRC_32_CACHE=None, MAX_UNSENT_BYTES=149_999)
    members = photos()
    archive = archive_of(members)
    assert get(members, "bytes=-190") == archive
    assert get(members, "bytes=-22") == archive[-22:]
    assert get(members, "bytes=60000-70000") == archive[60_000:70_001]
    for budget in (150_000, None):
        use(settings, CRC_32_CACHE=None, MAX_UNSENT_BYTES=budget)
        assert get(members, "bytes=-190") == archive[-190:]


@EITHER
def test_what_a_whole_download_has_learned_lets_its_range_through(
    get: Callable[..., bytes], settings: Any
) -> None:
    use(settings, MAX_UNSENT_BYTES=0)
    members = photos()
    archive = archive_of(members)
    assert get(members, "bytes=60000-") == archive
    assert get(members, "bytes=60000-") == archive[60_000:]


def test_downloads_at_once_on_one_loop_share_a_reading(settings: Any) -> None:
    use(settings, CRC_32_CACHE=None)
    members = [counting_member("a.jpg", CONTENT, chunk_length=1000)]
    archive = archive_of(members)

    async def read() -> bytes:
        request = AsyncRequestFactory().get("/", headers={"Range": "bytes=-60"})
        response: Any = zip_response(request, asynchronous(members))
        return b"".join([block async for block in response])

    async def eight() -> list[bytes]:
        return await asyncio.gather(*(read() for _ in range(8)))

    assert asyncio.run(eight()) == [archive[-60:]] * 8
    assert opened(members) == [1]


# Many members.


@EITHER
def test_many_members_are_asked_for_and_kept_in_batches(get: Callable[..., bytes]) -> None:
    members = [counting_member(f"{n}.jpg", bytes([n % 256])) for n in range(1000)]
    archive = get(members)
    learned = [number for name, number in CALLS if name == "set_many"]
    assert sum(learned) == 1000
    assert len(learned) <= 10
    CALLS.clear()
    forget(members)
    start = archive.index(b"PK\x01\x02")
    assert get(members, f"bytes={start}-") == archive[start:]
    asked = [number for name, number in CALLS if name == "get_many"]
    assert sum(asked) == 1000
    assert len(asked) <= 10
    assert sum(opened(members)) == 0


def kept_while_sending() -> int:
    return sum(number for name, number in CALLS if name == "set_many")


def test_what_is_learned_is_kept_before_the_download_is_over() -> None:
    members = [counting_member(f"{n}.jpg", CONTENT[:1000]) for n in range(1000)]
    response: Any = zip_response(RequestFactory().get("/"), members)
    for number, _ in enumerate(response):
        if number == 8:
            break
    assert kept_while_sending() >= 200
    response.close()


def test_what_is_learned_on_the_event_loop_is_kept_before_the_download_is_over() -> None:
    members = [counting_member(f"{n}.jpg", CONTENT[:1000]) for n in range(1000)]

    async def read() -> None:
        response: Any = zip_response(AsyncRequestFactory().get("/"), asynchronous(members))
        blocks = aiter(response)
        for _ in range(9):
            await anext(blocks)
        assert kept_while_sending() >= 200
        await blocks.aclose()

    asyncio.run(read())


# Any planned archive can be resumed at any place, after it was sent to there.


@EITHER
def test_short_local_files_are_learned_where_they_are_too_long_all_together(
    get: Callable[..., bytes], settings: Any
) -> None:
    use(settings, MAX_UNSENT_BYTES=600_000)
    members = [local_member(f"{n}.jpg", CONTENT[n : n + 3000]) for n in range(300)]
    archive = archive_of(members)
    assert get(members) == archive
    forget(members)
    for start in (archive.index(b"PK\x01\x02"), len(archive) - 3000, len(archive) - 100):
        assert get(members, f"bytes={start}-") == archive[start:]
    assert opened(members) == [0] * 300


def test_short_local_files_take_few_entries_of_the_cache(settings: Any) -> None:
    use(settings, MAX_UNSENT_BYTES=600_000)
    download([local_member(f"{n}.jpg", CONTENT[n : n + 3000]) for n in range(300)])
    assert sum(number for name, number in CALLS if name == "set_many") == 5


def test_a_group_of_short_files_is_another_one_where_one_of_them_is(settings: Any) -> None:
    use(settings, MAX_UNSENT_BYTES=600_000)
    members = [local_member(f"{n}.jpg", CONTENT[n : n + 3000]) for n in range(300)]
    download(members)
    changed = local_member("70.jpg", CONTENT[:3000][::-1], local_state="inode 2")
    members[70] = changed
    archive = archive_of(members)
    forget(members)
    start = archive.index(b"PK\x01\x02")
    assert download(members, f"bytes={start}-") == archive[start:]
    assert opened(members) == [int(64 <= n < 128) for n in range(300)]


def test_nothing_is_learned_of_a_group_of_which_a_file_may_change_without_a_sign(
    settings: Any,
) -> None:
    use(settings, MAX_UNSENT_BYTES=600_000)
    members = [local_member(f"{n}.jpg", CONTENT[n : n + 3000]) for n in range(300)]
    vars(members[299][4])["is_settled"] = False
    download(members)
    assert sum(number for name, number in CALLS if name == "set_many") == 4


def interrupted(members: list[ContentMember], length: int) -> None:
    """Download so much, then go away."""
    response: Any = zip_response(RequestFactory().get("/"), members)
    for block in response:
        length -= len(block)
        if length <= 0:
            break
    response.close()


def ainterrupted(members: list[ContentMember], length: int) -> None:
    """Do the same under ASGI, where the archive is made on the event loop."""

    async def read(length: int) -> None:
        response: Any = zip_response(AsyncRequestFactory().get("/"), asynchronous(members))
        blocks = aiter(response)
        async for block in blocks:
            length -= len(block)
            if length <= 0:
                break
        await blocks.aclose()

    asyncio.run(read(length))


@pytest.mark.parametrize(("begin", "get"), [(interrupted, download), (ainterrupted, adownload)])
def test_a_long_file_is_resumed_within_it_and_little_is_read_again(
    begin: Callable[..., None], get: Callable[..., bytes]
) -> None:
    data = random.Random(2).randbytes(1 << 20) * 100
    members = [local_member("long.mp4", data), local_member("other.jpg", CONTENT)]
    for *_, content in members:
        content.chunk_length = 1 << 20
    archive = archive_of(members)
    begin(members, 95_000_000)
    for start in (94_000_000, 70_000_000):
        forget(members)
        resumed = get(members, f"bytes={start}-")
        assert (len(resumed), resumed == archive[start:]) == (len(archive) - start, True)
        first = members[0][4].asked[0][0]
        assert start - (16 << 20) - 10_000 < first <= start
    get(members, "bytes=94000000-")  # which has learned the whole
    forget(members)
    assert get(members, "bytes=94000000-") == archive[94_000_000:]
    assert members[0][4].asked[0][0] > 93_900_000


@EITHER
def test_what_a_broken_promise_has_shown_is_not_resumed(get: Callable[..., bytes]) -> None:
    data = CONTENT * 400
    members = [counting_member("a.mp4", data, size=len(data) + 1, chunk_length=1 << 20)]
    *opening, content = members[0]
    members = [(*opening[:3], NO_COMPRESSION_AUTO(len(data) + 1), content)]  # type: ignore[list-item]
    with pytest.raises(ZipDownloadError):
        get(members)
    forget(members)
    with pytest.raises(ZipDownloadError):
        get(members, "bytes=20000000-")
    assert members[0][4].asked[0] == (0, None)  # all of it anew


def test_a_cache_that_is_gone_is_asked_once(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gone = {"BACKEND": "tests.delivery.test_checksums.GoneCache"}
    settings.CACHES = {**settings.CACHES, "default": gone}
    checksums = CachedChecksums()
    checksums.known([BytesContent(b"%d" % number) for number in range(1000)])
    checksums.invalidate('"tag"')
    checksums.save()
    assert len(caplog.records) == 1


class GoneCache(BaseCache):
    """Is a server that is gone."""

    def __init__(self, *args: Any) -> None:
        super().__init__({})

    def get_many(self, keys: Any, version: Any = None) -> Any:
        raise ConnectionError

    def clear(self) -> None:
        pass
