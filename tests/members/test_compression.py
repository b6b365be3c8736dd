"""What is compressed: members that builders would deflate are stored where that costs little."""

from __future__ import annotations

import asyncio
import copy
import random
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
)
from django_stream_zip.engine.encoders import stored_blocks_size
from django_stream_zip.engine.methods import Coding
from django_stream_zip.members import bytes_member, file_member
from django_stream_zip.members.build import build_member
from django_stream_zip.members.compression import decided
from django_stream_zip.members.files import BytesContent
from django_stream_zip.response import zip_response
from django_stream_zip.views import AsyncZipDownloadView, ZipDownloadView
from tests.support.contents import MODE, TIME

pytestmark = pytest.mark.django_db

PHOTO = random.Random(1).randbytes(1000)


def photos(number: int = 10) -> list[Any]:
    return [bytes_member(PHOTO, f"{number}.jpg") for number in range(number)]


def text(size: int, name: str = "notes.txt", **options: Any) -> Any:
    return bytes_member(b"n" * size, name, **options)


def plain(method: Any, data: bytes = b"data", name: str = "plain.bin") -> Any:
    return name, TIME, MODE, method, [data]


class UnknownContent(BytesContent):
    """Nobody knows its CRC-32 before it is read."""

    crc_32 = None  # type: ignore[assignment]


class UnsizedContent(UnknownContent):
    """Nobody knows its size either."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size = None  # type: ignore[assignment]

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`."""
        yield self._data[start:stop]


def unknown(data: bytes, name: str, compress: bool | None = None) -> Any:
    return build_member(name, TIME, MODE, compress, UnknownContent(data))


def unsized(data: bytes, name: str, compress: bool | None = None) -> Any:
    return build_member(name, TIME, MODE, compress, UnsizedContent(data))


def respond(members: Any, headers: dict[str, str] | None = None, **options: Any) -> Any:
    return zip_response(RequestFactory().get("/", headers=headers), members, **options)


def body(response: Any) -> bytes:
    try:
        return b"".join(response)
    finally:
        response.close()


def coding(made: Sequence[Any]) -> dict[str, Coding]:
    return {name: method.coding for name, _, _, method, _ in made}


def compressed(archive: bytes) -> list[str]:
    """Return which members are smaller in an archive than outside."""
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        assert opened.testzip() is None
        infos = opened.infolist()
    return [info.filename for info in infos if info.compress_size < info.file_size]


# The choice that is made by default.


def test_one_text_among_ten_photos_of_its_size_leaves_length_progress_and_resuming() -> None:
    response = respond([*photos(10), text(1000)])
    whole = body(response)
    assert int(response.headers["Content-Length"]) == len(whole)
    assert response.headers["Accept-Ranges"] == "bytes"
    assert compressed(whole) == []
    part = respond([*photos(10), text(1000)], {"Range": "bytes=5000-"})
    assert (part.status_code, body(part)) == (206, whole[5000:])


CHOICES = {
    "a tenth": ([*photos(10), text(1000)], True),
    "a byte more than a tenth": ([*photos(10), text(1001)], False),
    "a tenth in several": ([*photos(10), text(400), text(600, "b.txt")], True),
    "more than a tenth in several": ([*photos(10), text(401), text(600, "b.txt")], False),
    "a tenth whose CRC-32 nobody knows": ([*photos(10), unknown(b"n" * 1000, "a.txt")], True),
    "a text only": ([text(1000)], False),
    "an empty text only": ([text(0)], True),
    "many empty texts": ([text(0, f"{number}.txt") for number in range(5)], True),
    "photos only": (photos(), True),
    "nothing": ([], True),
    "a text that is to be deflated": ([*photos(), text(1, compress=True)], False),
    "one that is to be deflated beside one that needn't": (
        [*photos(), text(1), text(1, "b.txt", compress=True)],
        False,
    ),
    "a text that is to be stored": ([text(10_000, compress=False), text(1000, "b.txt")], True),
    "one of unknown size": ([*photos(), unsized(b"n", "a.txt"), text(1)], False),
    "ZIP_32": ([*photos(), plain(ZIP_32), text(1)], False),
    "ZIP_64": ([*photos(), plain(ZIP_64), text(1)], False),
    "ZIP_AUTO": ([*photos(), plain(ZIP_AUTO(4)), text(1)], False),
    "one that is held in memory": ([*photos(), plain(NO_COMPRESSION_64), text(1)], False),
    "a stored one": ([plain(NO_COMPRESSION_AUTO(4)), text(0)], True),
    "a stored one that is large": (
        [plain(NO_COMPRESSION_32(10_000, zlib.crc32(b"d" * 10_000)), b"d" * 10_000), text(1000)],
        True,
    ),
}


@pytest.mark.parametrize(("made", "has_length"), CHOICES.values(), ids=CHOICES)
def test_texts_are_stored_where_they_are_a_tenth_of_the_others_and_that_brings_a_length(
    made: list[Any], has_length: bool
) -> None:
    before = coding(made)
    response = respond(made)
    assert ("Content-Length" in response.headers) is has_length
    after = dict.fromkeys(before, Coding.STORE) if has_length else before
    assert coding(decided(made)) == after
    whole = body(response)
    with zipfile.ZipFile(BytesIO(whole)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == list(before)
    if has_length:
        assert int(response.headers["Content-Length"]) == len(whole)


def test_members_are_not_changed_and_where_nothing_is_decided_they_are_the_same() -> None:
    made = [*photos(), text(1000)]
    kept = copy.copy(made)
    chosen = decided(made)
    assert made == kept
    assert made[-1][3].coding is Coding.DEFLATE
    assert [a is b for a, b in zip(made, chosen, strict=True)] == [True] * 10 + [False]
    for same in (photos(), [*photos(1), text(1000)], [], (text(1),)):
        assert decided(same) is same


def test_the_crc_32_is_in_the_header_where_it_is_known() -> None:
    known, not_known = decided([*photos(), text(9), unknown(b"n" * 9, "b.txt")])[-2:]
    assert known[3] == NO_COMPRESSION_AUTO(9, zlib.crc32(b"n" * 9))
    assert not_known[3] == NO_COMPRESSION_AUTO(9)


def test_the_entity_tag_is_that_of_what_was_decided() -> None:
    tag = respond([*photos(), text(1000)]).headers["ETag"]
    assert respond([*photos(), text(1000)]).headers["ETag"] == tag
    assert respond([*photos(), text(1000, compress=False)]).headers["ETag"] == tag
    assert respond(photos()).headers["ETag"] != tag
    in_blocks = respond([*photos(), unknown(b"n" * 1000, "notes.txt")]).headers["ETag"]
    assert in_blocks not in (None, tag)
    for deflated in (respond([*photos(), text(1000)], compress=True), respond([text(1000)])):
        assert "ETag" not in deflated.headers


def test_an_encrypted_archive_has_its_length_and_no_tag() -> None:
    response = respond([*photos(), text(1000)], password="secret")
    assert "ETag" not in response.headers
    assert int(response.headers["Content-Length"]) == len(body(response))


class Smaller:
    """What somebody made of a content, who keeps the rest of a builder's member."""

    def __init__(self, content: Any) -> None:
        self.content = content
        self.size = 3

    def __iter__(self) -> Iterator[bytes]:
        yield b"own"


@pytest.mark.parametrize("content", [[b"own"], Smaller(None)], ids=["a list", "with a size"])
@pytest.mark.parametrize("compress", [None, False])
def test_a_member_with_another_content_stays_deflated(content: Any, compress: bool | None) -> None:
    made = [*photos(), (*text(1000)[:4], content)]
    response = respond(made, compress=compress)
    assert "Content-Length" not in response.headers
    with zipfile.ZipFile(BytesIO(body(response))) as opened:
        assert opened.read("notes.txt") == b"own"


def test_a_file_that_grows_can_be_deflated_and_is_read_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"l" * 100)
    response = respond([*photos(), file_member(log, compress=True)])
    log.write_bytes(b"l" * 200)
    with zipfile.ZipFile(BytesIO(body(response))) as opened:
        assert opened.read("a.log") == b"l" * 200


# The setting.


@pytest.mark.parametrize(
    ("growth", "size", "has_length"),
    [
        (0.1, 1000, True),
        (0.1, 1001, False),
        (0.5, 5000, True),
        (0.5, 5001, False),
        (1, 10_000, True),
        (2, 20_001, False),
        (0, 1, False),
        (0, 0, True),
        (None, 1_000_000, True),
    ],
)
def test_the_setting_says_how_much_larger_an_archive_may_become(
    growth: float | None, size: int, has_length: bool
) -> None:
    with override_settings(DJANGO_STREAM_ZIP={"MAX_GROWTH_BY_STORING": growth}):
        response = respond([*photos(10), text(size)])
    assert ("Content-Length" in response.headers) is has_length


def test_without_a_bound_texts_alone_are_stored_too() -> None:
    with override_settings(DJANGO_STREAM_ZIP={"MAX_GROWTH_BY_STORING": None}):
        assert "Content-Length" in respond([text(1000)]).headers


@pytest.mark.parametrize("value", [-0.1, "0.1", True, float("nan"), float("inf"), [0.1]])
def test_a_wrong_value_of_the_setting_is_an_error(value: Any) -> None:
    with (
        override_settings(DJANGO_STREAM_ZIP={"MAX_GROWTH_BY_STORING": value}),
        pytest.raises(ImproperlyConfigured, match="must be a number, 0 or more, or None"),
    ):
        respond([*photos(), text(1)])


# `compress` for a whole archive.


def test_what_a_builder_decided_alone_can_be_decided_for_all() -> None:
    made = [*photos(1), text(1000), text(10, "b.txt", compress=True), text(10, "c.txt")]
    assert compressed(body(respond(made, compress=True))) == ["notes.txt", "b.txt", "c.txt"]
    assert compressed(body(respond(made))) == ["notes.txt", "b.txt", "c.txt"]
    assert compressed(body(respond(made, compress=False))) == ["b.txt"]


def test_true_keeps_what_would_be_stored_deflated() -> None:
    response = respond([*photos(), text(10)], compress=True)
    assert "Content-Length" not in response.headers
    assert compressed(body(response)) == ["notes.txt"]


def test_true_deflates_nothing_that_is_compressed_already_or_is_to_be_stored() -> None:
    made = [bytes_member(b"n" * 100, "a.jpg"), text(10, compress=False)]
    assert "Content-Length" in respond(made, compress=True).headers


def test_false_gives_texts_alone_their_length() -> None:
    response = respond([text(1000), unknown(b"n" * 1000, "b.txt")], compress=False)
    assert int(response.headers["Content-Length"]) == len(body(response))
    assert "ETag" in response.headers


def test_false_leaves_one_of_unknown_size_deflated() -> None:
    made = [text(1000), unsized(b"n" * 1000, "b.txt"), plain(ZIP_32, b"d" * 100)]
    assert compressed(body(respond(made, compress=False))) == ["b.txt", "plain.bin"]


class Closing:
    """Members that come one by one, and tell whether they were closed."""

    is_closed = False

    def __iter__(self) -> Iterator[Any]:
        try:
            yield text(1000)
            yield text(1000, "b.txt", compress=True)
        finally:
            self.is_closed = True

    async def __aiter__(self) -> AsyncIterator[Any]:
        for made in self:
            await asyncio.sleep(0)
            yield made


@pytest.mark.parametrize(
    ("compress", "names"),
    [(None, ["notes.txt", "b.txt"]), (True, ["notes.txt", "b.txt"]), (False, ["b.txt"])],
)
def test_members_that_come_one_by_one_are_stored_only_if_that_is_said(
    compress: bool | None, names: list[str]
) -> None:
    made = Closing()
    assert compressed(body(respond(iter(made), compress=compress))) == names
    assert made.is_closed

    async def download() -> bytes:
        members = (one async for one in Closing())
        request = AsyncRequestFactory().get("/")
        response: Any = zip_response(request, members, compress=compress)
        return b"".join([block async for block in response])

    assert compressed(async_to_sync(download)()) == names


def test_what_is_broken_off_closes_its_members() -> None:
    made = Closing()
    response = respond(iter(made), compress=False)
    assert next(iter(response))
    response.close()
    assert made.is_closed


@pytest.mark.parametrize("wrong", ["no", 0, 1, "", object])
def test_a_choice_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected compress to be True, False or None, got "):
        respond(photos(), compress=wrong)


@pytest.mark.parametrize("wrong", [None, "member", 5, (1, 2)])
@pytest.mark.parametrize("compress", [None, False])
def test_what_is_no_member_is_refused_as_before(wrong: Any, compress: bool | None) -> None:
    with pytest.raises((TypeError, ValueError), match="member"):
        respond([*photos(), wrong], compress=compress)


# Views.


def mixed() -> list[Any]:
    return [*photos(), text(1000), unknown(b"u" * 5, "u.txt")]


class View(ZipDownloadView):
    """Photos and texts."""

    made = staticmethod(mixed)

    def get_members(self) -> Any:
        return self.made()


class AsyncView(AsyncZipDownloadView):
    """The same, asynchronous."""

    made = staticmethod(mixed)

    async def get_members(self) -> Any:
        return self.made()


async def _served(compress: bool | None) -> tuple[dict[str, str], bytes]:
    response: Any = await AsyncView.as_view(compress=compress)(AsyncRequestFactory().get("/"))
    return dict(response.headers), b"".join([block async for block in response])


@pytest.mark.parametrize(("compress", "has_length"), [(None, False), (True, False), (False, True)])
def test_views_pass_it_on_and_sync_equals_async(compress: bool | None, has_length: bool) -> None:
    response: Any = View.as_view(compress=compress)(RequestFactory().get("/"))
    assert ("ETag" in response.headers) is has_length
    assert (dict(response.headers), body(response)) == async_to_sync(_served)(compress)


def test_sync_equals_async_where_it_is_decided_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(View, "made", staticmethod(lambda: mixed()[:-1]))
    monkeypatch.setattr(AsyncView, "made", staticmethod(lambda: mixed()[:-1]))
    response: Any = View.as_view()(RequestFactory().get("/"))
    assert "ETag" in response.headers
    assert (dict(response.headers), body(response)) == async_to_sync(_served)(None)


# Whatever there is.

BUILDERS = {"known": lambda *args: bytes_member(args[0], args[1], compress=args[2])} | {
    "unknown CRC-32": unknown,
    "unknown size": unsized,
}
PLAIN = {
    "ZIP_32": lambda data: ZIP_32,
    "ZIP_AUTO": lambda data: ZIP_AUTO(len(data)),
    "NO_COMPRESSION_64": lambda data: NO_COMPRESSION_64,
    "NO_COMPRESSION_AUTO": lambda data: NO_COMPRESSION_AUTO(len(data)),
    "with CRC-32": lambda data: NO_COMPRESSION_AUTO(len(data), zlib.crc32(data)),
}
NOISE = random.Random(2).randbytes(200_000)
ZEROS = bytes(200_000)


@st.composite
def members(draw: st.DrawFn) -> list[Any]:
    """Draw members, many of them such that it is near the bound."""
    made = []
    for number in range(draw(st.integers(0, 6))):
        size = draw(st.integers(0, 200_000) | st.integers(0, 20_000) | st.just(0))
        data = draw(st.sampled_from([NOISE, ZEROS]))[:size]
        if draw(st.integers(0, 9)) == 0:
            method = draw(st.sampled_from(sorted(PLAIN)))
            made.append(plain(PLAIN[method](data), data, f"{number}.bin"))
            continue
        build = draw(st.sampled_from(["known"] * 4 + ["unknown CRC-32"] * 4 + ["unknown size"]))
        ending = draw(st.sampled_from(["txt", "jpg", "jpg", "csv", ""]))
        compress = draw(st.sampled_from([None, None, None, None, True, False]))
        made.append(BUILDERS[build](data, f"{number}.{ending}".rstrip("."), compress))
    return made


def has_known_positions(made: Sequence[Any]) -> bool:
    return all(
        method.coding is Coding.STORE and method.uncompressed_size is not None
        for _, _, _, method, _ in made
    )


@given(made=members(), data=st.data())
def test_what_is_stored_has_a_length_and_is_at_most_a_tenth_larger(
    made: list[Any], data: st.DataObject
) -> None:
    chosen = decided(made)
    response = respond(made)
    whole = body(response)
    assert ("Content-Length" in response.headers) is has_known_positions(chosen)
    if chosen is made:
        return
    assert int(response.headers["Content-Length"]) == len(whole)
    # Stored, each has the bytes of its content at most beyond those that it has deflated, and what
    # blocks take where its CRC-32 isn't known. All else is as long, or shorter: with its CRC-32
    # known, a stored member has no data descriptor.
    in_blocks = [
        new[4].size
        for old, new in zip(made, chosen, strict=True)
        if old is not new and new[3].crc_32 is None
    ]
    blocks = sum(stored_blocks_size(size) - size for size in in_blocks)
    deflated = body(respond(made, compress=True))
    assert len(whole) - blocks <= 1.1 * len(deflated)
    if "ETag" in response.headers:
        start = data.draw(st.integers(0, len(whole) - 1))
        stop = data.draw(st.integers(start, len(whole) - 1))
        part = respond(made, {"Range": f"bytes={start}-{stop}"})
        assert (part.status_code, body(part)) == (206, whole[start : stop + 1])


@given(made=members(), compress=st.sampled_from([None, True, False]))
def test_a_member_s_own_choice_wins(made: list[Any], compress: bool | None) -> None:
    for old, new in zip(made, decided(made, compress), strict=True):
        if old is new:
            continue
        name, _, _, method, content = old
        assert old[:3] == new[:3]
        assert old[4] is new[4]
        assert not name.endswith((".jpg", ".bin"))
        assert (method.coding, new[3].coding) == (Coding.DEFLATE, Coding.STORE)
        assert new[3].uncompressed_size == content.size
