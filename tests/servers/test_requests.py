"""Requests for headers, conditions and ranges; and those that nobody sends who means well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.harness import Route, Server, ask, new_token

Whole = Callable[[str], bytes]

# Of the connection, not of the archive.
HOP_BY_HOP = {"connection", "date", "keep-alive", "transfer-encoding"}


def lasting(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in HOP_BY_HOP}


@pytest.mark.parametrize("shape", ["tagged", "sized", "generator", "deflated"])
def test_head_gets_the_headers_of_get_and_opens_nothing(route: Route, shape: str) -> None:
    server, token = route.server, new_token()
    path = route.path("mixed", shape=shape, token=token)
    head = server.ask(path, method="HEAD")
    told = server.debug(token)
    assert (told["opened"], told["started"], told["finished"]) == (0, 0, [])
    got = server.ask(path)
    assert (head.status, head.body) == (200, b"")
    assert lasting(head.headers) == lasting(got.headers)


@pytest.mark.parametrize("shape", ["tagged", "sized", "generator", "deflated"])
def test_the_connection_goes_on_after_head(route: Route, whole: Whole, shape: str) -> None:
    with route.server.connect() as connection:
        ask(connection, route.path("mixed", shape=shape), method="HEAD")
        first_socket = connection.sock
        assert ask(connection, route.path("tiny")).body == whole("tiny")
        assert connection.sock is first_socket is not None


def test_the_connection_goes_on_after_answers_without_archive(server: Server, whole: Whole) -> None:
    tag = server.ask("/folder/tiny/").headers["etag"]
    with server.connect() as connection:
        ask(connection, "/folder/tiny/", {"If-None-Match": tag})
        first_socket = connection.sock
        ask(connection, "/folder/tiny/", {"If-Match": '"other"'})
        ask(connection, "/folder/tiny/", {"Range": "bytes=999999-"})
        ask(connection, "/folder/tiny/?file=missing.jpg")
        ask(connection, "/folder/tiny/", {"Range": "bytes=1-2"})
        assert ask(connection, "/folder/tiny/").body == whole("tiny")
        assert connection.sock is first_socket is not None


def test_head_ignores_ranges(one_of_each: Server, whole: Whole) -> None:
    head = one_of_each.ask("/folder/tiny/", {"Range": "bytes=0-9"}, method="HEAD")
    assert head.status == 200
    assert head.headers["content-length"] == str(len(whole("tiny")))
    assert "content-range" not in head.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_archive_that_the_client_has_is_not_sent_again(one_of_each: Server, method: str) -> None:
    token = new_token()
    path = f"/folder/tiny/?token={token}"
    tag = one_of_each.ask(path, method="HEAD").headers["etag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        headers = {"If-None-Match": condition, "Range": "bytes=0-1"}
        reply = one_of_each.ask(path, headers, method)
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["etag"] == tag
    assert one_of_each.debug(token)["opened"] == 0


def test_another_archive_than_the_client_demands_is_not_sent(one_of_each: Server) -> None:
    token = new_token()
    path = f"/folder/tiny/?token={token}"
    tag = one_of_each.ask(path, method="HEAD").headers["etag"]
    for condition in ('"other"', f"W/{tag}"):
        assert one_of_each.ask(path, {"If-Match": condition, "Range": "bytes=0-1"}).status == 412
    assert one_of_each.debug(token)["opened"] == 0
    assert one_of_each.ask(path, {"If-Match": tag, "Range": "bytes=0-1"}).status == 206


@pytest.mark.parametrize(
    ("header", "first", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-1000", 1000, 1001),
        ("bytes=0-", 0, None),
        ("bytes=500-999", 500, 1000),
        ("bytes=-1", -1, None),
        ("bytes=-1000", -1000, None),
        ("bytes=-999999999", 0, None),
        ("bytes=20000-99999999999999999999999999", 20000, None),
    ],
)
def test_a_range_is_a_slice(
    route_of_each: Route, whole: Whole, header: str, first: int, stop: int | None
) -> None:
    archive = whole("tiny")
    reply = route_of_each.server.ask(route_of_each.path("tiny"), {"Range": header})
    begin, end, _ = slice(first, stop).indices(len(archive))
    assert reply.status == 206
    assert reply.body == archive[first:stop]
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(archive)}"


def test_ranges_that_overlap_are_asked_on_one_connection(one_of_each: Server, whole: Whole) -> None:
    archive = whole("tiny")
    with one_of_each.connect() as connection:
        for start in range(0, len(archive), 3000):
            headers: dict[str, str | bytes] = {"Range": f"bytes={start}-{start + 3999}"}
            reply = ask(connection, "/folder/tiny/", headers)
            assert reply.body == archive[start : start + 4000]


@pytest.mark.parametrize(
    "header", ["bytes=30273-", "bytes=999999999999999999999-", "bytes=-0", "bytes=30272-"]
)
def test_a_range_behind_the_end_is_refused_and_told_the_length(
    one_of_each: Server, whole: Whole, header: str
) -> None:
    assert len(whole("tiny")) == 30272
    reply = one_of_each.ask("/folder/tiny/", {"Range": header})
    assert reply.status == 416
    assert reply.headers["content-range"] == "bytes */30272"


IGNORED: dict[str, str | bytes] = {
    "another unit": "items=0-5",
    "no unit": "0-5",
    "no number": "bytes=-",
    "nothing": "bytes=",
    "words": "bytes=a-b",
    "backwards": "bytes=5-2",
    "negative": "bytes=--5",
    "signed": "bytes=+1-+5",
    "underscores": "bytes=1_0-2_0",
    "hexadecimal": "bytes=0x1-0x5",
    "a fraction": "bytes=1.0-5.0",
    "two ranges": "bytes=0-0,-1",
    "many ranges": "bytes=" + ",".join(f"{number}-{number}" for number in range(700)),
    "overlapping ranges": "bytes=" + ",".join(["0-"] * 2000),
    "commas": "bytes=" + "," * 7000,
    "seven thousand spaces": "bytes=" + " " * 7000 + "x",
    "seven thousand digits backwards": "bytes=" + "9" * 7000 + "-1",
    "superscript digits in Latin-1": b"bytes=\xb2-\xb3",
    "Arabic digits in UTF-8": "bytes=\u0661-\u0665".encode(),
    "fullwidth digits in UTF-8": "bytes=\uff11-\uff15".encode(),
    "bytes that are no UTF-8": b"bytes=\xff-\xfe",
    "a tab within": "bytes=1\t0-20",
}


@pytest.mark.parametrize("header", IGNORED.values(), ids=IGNORED.keys())
def test_a_range_that_makes_no_sense_is_ignored(
    server: Server, whole: Whole, header: str | bytes
) -> None:
    reply = server.ask("/folder/tiny/", {"Range": header})
    assert reply.status == 200
    assert reply.body == whole("tiny")


def test_seven_thousand_digits_are_behind_the_end(server: Server) -> None:
    assert server.ask("/folder/tiny/", {"Range": "bytes=" + "9" * 7000 + "-"}).status == 416


STRANGE_IF_RANGES: dict[str, str | bytes] = {
    "a date": "Sun, 22 Nov 2026 12:00:00 GMT",
    "no quotes": "tag",
    "a quote alone": '"',
    "a star": "*",
    "nothing": "",
    "several tags": '"a", "b"',
    "a long one": '"' + "a" * 7000 + '"',
    "Latin-1": b'"\xe4\xff"',
}


@pytest.mark.parametrize("header", STRANGE_IF_RANGES.values(), ids=STRANGE_IF_RANGES.keys())
def test_a_strange_if_range_gets_the_whole(
    server: Server, whole: Whole, header: str | bytes
) -> None:
    reply = server.ask("/folder/tiny/", {"Range": "bytes=0-5", "If-Range": header})
    assert reply.status == 200
    assert reply.body == whole("tiny")


def test_a_weak_tag_gets_the_whole_by_if_range(one_of_each: Server, whole: Whole) -> None:
    tag = one_of_each.ask("/folder/tiny/", method="HEAD").headers["etag"]
    reply = one_of_each.ask("/folder/tiny/", {"Range": "bytes=0-5", "If-Range": f"W/{tag}"})
    assert (reply.status, reply.body) == (200, whole("tiny"))


STRANGE_CONDITIONS: dict[str, str | bytes] = {
    "a long list": ", ".join(['"x"'] * 1200),
    "no quotes": "tag",
    "a quote alone": '"',
    "commas": "," * 7000,
    "Latin-1": b'"\xe4\xff"',
    "backslashes": '"' + "\\" * 7000 + '"',
}


@pytest.mark.parametrize("header", STRANGE_CONDITIONS.values(), ids=STRANGE_CONDITIONS.keys())
def test_strange_conditions_are_answered(server: Server, header: str | bytes) -> None:
    assert server.ask("/folder/tiny/", {"If-None-Match": header}).status == 200
    # A condition without any tag in it is none to Django.
    assert server.ask("/folder/tiny/", {"If-Match": header}).status in {200, 412}


@pytest.mark.parametrize("shape", ["sized", "generator"])
def test_without_a_tag_a_range_is_ignored(one_of_each: Server, shape: str) -> None:
    reply = one_of_each.ask(f"/folder/tiny/?shape={shape}", {"Range": "bytes=0-5"})
    assert reply.status == 200
    assert len(reply.body) >= 30_000
    assert "accept-ranges" not in reply.headers
