"""Workloads through a server: a response is downloaded by curl."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass

from benchmarks import downloads, memory
from benchmarks.engines import ENGINES
from benchmarks.samples import FILM_LENGTH, FILMS, Samples
from benchmarks.server import Server, missing, running
from benchmarks.workload import CellError, Figures

_SLOW_CLIENTS = 20
_DEFLATING_CLIENTS = 8
_SECONDS = 10


@dataclass(frozen=True)
class Serving:
    """What is done with a server that was started for it. `observe` gives the figures."""

    name: str
    title: str
    server: str
    observe: Callable[[Server, str], Figures]
    engines: tuple[str, ...]
    group: str = "servers"
    rounds_at_most: int = 9

    def measure(self, engine: str, samples: Samples) -> Figures:
        """Start the server, do it, end the server."""
        reason = downloads.missing() or missing(self.server)
        if engine in ENGINES:
            reason = reason or ENGINES[engine].missing()
        if reason:
            raise CellError(reason)
        samples.films()
        samples.payments()
        with running(self.server, samples) as server:
            return self.observe(server, engine)


def fetch(server: Server, engine: str) -> Figures:
    """Download 1 GiB in 16 stored members."""
    server.ask(f"/{engine}/0/")
    before, cpu_before = memory.start_peak(server.pid), server.cpu_seconds()
    figures = downloads.download(server.url(f"/{engine}/{FILMS}/"))
    figures["cpu_seconds"] = server.cpu_seconds() - cpu_before
    figures["content_bytes"] = FILMS * FILM_LENGTH
    figures |= _memory_rise(before, server)
    return figures | {"first_byte": server.first_byte(f"/{engine}/{FILMS}/")}


def fetch_slowly(server: Server, engine: str) -> Figures:
    """Have many clients that take 200 kB a second each."""
    server.ask(f"/{engine}/0/")
    before = memory.start_peak(server.pid)
    urls = [server.url(f"/{engine}/{FILMS}/")] * _SLOW_CLIENTS
    with downloads.downloading(urls, "--limit-rate", "200k"):
        time.sleep(_SECONDS)
        return _memory_rise(before, server)


def fetch_zeros(server: Server, kind: str) -> Figures:
    """Download 8 GiB of zeros."""
    server.ask("/ours/0/")
    before = memory.start_peak(server.pid)
    figures = downloads.download(server.url(f"/zeros/{kind}/"))
    figures["content_bytes"] = 8 << 30
    return figures | _memory_rise(before, server)


def watch_loop(server: Server, kind: str) -> Figures:
    """See how late the loop's timers and a trivial view are while members are deflated."""
    server.ask("/ping/")
    server.ask("/ours/0/")
    urls = [server.url(f"/deflated/{kind}/")] * _DEFLATING_CLIENTS
    load: AbstractContextManager[None] = nullcontext()
    if kind != "idle":
        load = downloads.downloading(urls)
    with load:
        time.sleep(1)
        server.told("/timer/")
        latencies = _pinged(server)
        lateness = server.told("/timer/")
    return _quantiles("timer", lateness) | _quantiles("view", latencies)


def _pinged(server: Server) -> list[float]:
    """Ask for the trivial view 20 times a second; give how long each answer took."""
    latencies = []
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        end = time.perf_counter() + _SECONDS
        while (start := time.perf_counter()) < end:
            connection.request("GET", "/ping/")
            connection.getresponse().read()
            took = time.perf_counter() - start
            latencies.append(took)
            time.sleep(max(0.0, 0.05 - took))
    return latencies


def _quantiles(name: str, seconds: list[float]) -> Figures:
    percentiles = statistics.quantiles(seconds, n=100, method="inclusive")
    return {
        f"{name}_p50": percentiles[49],
        f"{name}_p99": percentiles[98],
        f"{name}_max": max(seconds),
    }


def _memory_rise(before: int | None, server: Server) -> Figures:
    rise = memory.rise(before, server.pid)
    return {} if rise is None else {"memory_rise": rise}


_PEERS = ("stream-zip", "zipstream-ng", "plain")
_UVICORNS = ("uvicorn", "uvicorn-standard")

SERVED = (
    Serving("gunicorn", "1 GiB stored, gunicorn gthread", "gunicorn", fetch, ("ours", *_PEERS)),
    *(
        Serving(name, f"1 GiB stored, {name}", name, fetch, ("ours", "ours-async", *_PEERS))
        for name in _UVICORNS
    ),
    *(
        Serving(
            f"slow-clients-{name}",
            f"1 GiB stored, {name}, {_SLOW_CLIENTS} clients at 200 kB/s",
            name,
            fetch_slowly,
            ("ours", "ours-async", "plain"),
            rounds_at_most=2,
        )
        for name in _UVICORNS
    ),
    *(
        Serving(
            f"loop-{name}",
            f"{_DEFLATING_CLIENTS} downloads of deflated members, {name}",
            name,
            watch_loop,
            ("idle", "sync", "async"),
            rounds_at_most=3,
        )
        for name in _UVICORNS
    ),
    Serving(
        "zeros-uvicorn",
        "8 GiB of zeros through ZipResponse, uvicorn",
        "uvicorn",
        fetch_zeros,
        ("stored", "deflated"),
        group="zeros",
        rounds_at_most=1,
    ),
)
