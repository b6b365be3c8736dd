"""Clients who go away, or stop reading: what is open is closed, and nothing runs ahead of them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.servers.harness import MIB, THREADS, Route, cut_download, new_token, sha256
from tests.support.network import eventually

DISCONNECTS = int(os.environ.get("SERVER_DISCONNECTS", "20"))

# Downloads that no socket buffer takes to the end, and how much of them a client may read before
# it goes: those without a pause are large, those with one are slow.
DOWNLOADS: list[tuple[str, dict[str, object], int]] = [
    ("album", {"shape": "tagged"}, 30 * MIB),
    ("album", {"shape": "sized"}, 30 * MIB),
    ("album", {"shape": "generator"}, 30 * MIB),
    ("mixed", {"shape": "deflated", "pause": 0.02}, MIB),
    ("photos", {"shape": "tagged", "pause": 0.02}, MIB),
]

Told = dict[str, Any]
OPEN = ("files", "threads", "tasks")


def settled(measure: Callable[[], Any], seconds: float = 0.6) -> Any:
    """Return what is measured, once it has been the same for a while."""
    value, since = measure(), time.monotonic()
    deadline = since + 20
    while time.monotonic() < min(since + seconds, deadline):
        time.sleep(0.1)
        now = measure()
        if now != value:
            value, since = now, time.monotonic()
    return value


def lasting(measure: Callable[[], Any], seconds: float = 30) -> Any:
    """Return what is measured, as soon as that is nothing.

    Asking is a request itself, whose thread or task may still be there when the next one asks.
    """
    value, deadline = measure(), time.monotonic() + seconds
    while value and time.monotonic() < deadline:
        time.sleep(0.05)
        value = measure()
    return value


def open_counts(told: Told) -> dict[str, int]:
    return {name: len(told[name]) for name in OPEN}


def open_contents(told: Told) -> int:
    opened: int = told["opened"] - told["closed"]
    return opened


def disconnect(route: Route, token: str) -> None:
    folder, query, limit = random.choice(DOWNLOADS)
    cut_download(route.server, route.path(folder, token=token, **query), random.randint(0, limit))


def disconnect_often(route: Route, token: str, count: int, at_once: int) -> None:
    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(disconnect, route, token) for _ in range(count)]:
            done.result()


def test_clients_who_go_away_leave_nothing_open(route: Route) -> None:
    server, token = route.server, new_token()
    disconnect_often(route, new_token(), THREADS, at_once=THREADS)  # starts all threads there are
    settled(lambda: open_counts(server.debug()))
    before = server.debug()
    disconnect_often(route, token, DISCONNECTS, at_once=4)

    def open_more() -> dict[str, tuple[list[str], list[str]]]:
        now = server.debug(token)
        more = [name for name in OPEN if len(now[name]) > len(before[name])]
        return {name: (before[name], now[name]) for name in more}

    assert lasting(open_more) == {}
    told = server.debug(token)
    assert told["opened"] == told["closed"] > 0
    assert told["started"] == len(told["finished"]) > 0
    assert not any(download["completed"] for download in told["finished"])


def test_a_client_who_goes_away_is_no_error(route: Route) -> None:
    token = new_token()
    disconnect_often(route, token, 4, at_once=1)
    eventually(lambda: len(route.server.debug(token)["finished"]) == 4)
    assert route.server.errors(token) == []


def test_a_client_who_goes_away_stops_the_reading(route: Route) -> None:
    token = new_token()
    # All of it would take a minute and a half.
    cut_download(route.server, route.path("album", pause=0.1, token=token), 1)
    assert eventually(lambda: route.server.debug(token)["finished"])
    told = route.server.debug(token)
    assert told["opened"] == told["closed"]
    assert told["produced"] < 10 * MIB


@pytest.mark.parametrize("shape", ["tagged", "generator"])
def test_a_client_who_stops_reading_stops_the_reading_and_can_go_on(
    route: Route, whole: Callable[[str], bytes], shape: str
) -> None:
    token = new_token()
    with route.server.connect() as connection:
        connection.request("GET", route.path("album", shape=shape, token=token))
        assert settled(lambda: route.server.debug(token)["produced"], seconds=1) < 16 * MIB
        assert eventually(lambda: open_contents(route.server.debug(token)) == 1)
        with connection.getresponse() as response:
            assert sha256(response.read()) == sha256(whole("album"))


@pytest.mark.parametrize("shape", ["tagged", "sized"])
def test_who_goes_away_with_the_last_byte_has_all_of_it(route: Route, shape: str) -> None:
    token = new_token()
    for _ in range(20):
        route.server.ask(route.path("tiny", shape=shape, token=token))
    eventually(lambda: len(route.server.debug(token)["finished"]) == 20)
    told = route.server.debug(token)["finished"]
    assert [download["bytes_sent"] for download in told] == [30272] * 20
    assert [download["completed"] for download in told] == [True] * 20
