"""Workloads through a server: a response is downloaded by curl."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from operator import methodcaller
from zipfile import ZipFile

from benchmarks import checkouts, downloads, memory, page_cache
from benchmarks.albums import ALBUMS
from benchmarks.engines import ENGINES
from benchmarks.samples import FILM_LENGTH, FILMS, Samples
from benchmarks.server import Server, missing, running
from benchmarks.workload import CellError, Figures

_SLOW_CLIENTS = 20
_CLIENTS = 8
_SECONDS = 10
_MB = 1_000_000


@dataclass(frozen=True)
class Serving:
    """What is done with a server that was started for it. `observe` gives the figures."""

    name: str
    title: str
    server: str
    observe: Callable[[Server, str], Figures]
    engines: tuple[str, ...]
    needs: Callable[[Samples], object] = Samples.films
    group: str = "servers"
    rounds_at_most: int = 9

    def measure(self, engine: str, samples: Samples) -> Figures:
        """Start the server, do it, end the server."""
        name = checkouts.current(engine)
        reason = downloads.missing() or missing(self.server)
        if name in ENGINES:
            reason = reason or ENGINES[name].missing()
        if reason:
            raise CellError(reason)
        self.needs(samples)
        with running(self.server, samples, engine) as server:
            return self.observe(server, name)


def fetch(server: Server, engine: str) -> Figures:
    """Download 1 GiB in 16 stored members."""
    server.ask(f"/{engine}/0/")
    return _fetched(server, f"/{engine}/{FILMS}/") | {"content_bytes": FILMS * FILM_LENGTH}


def fetch_album(album: str, server: Server, engine: str) -> Figures:
    """Download an album."""
    _warm_up(album, server, engine)
    amounts = {"content_bytes": ALBUMS[album].content_bytes, "members": ALBUMS[album].number}
    return _fetched(server, _album_path(album, engine)) | amounts


def fetch_end(album: str, server: Server, engine: str) -> Figures:
    """Download the last megabyte of an album, as who resumes a download does."""
    server.first_byte(f"/{engine}/{album}/1/", {"Range": "bytes=-22"})
    figures = _fetched(server, _album_path(album, engine), f"bytes=-{_MB}")
    if figures["archive_bytes"] != _MB:
        raise CellError(f"failed: got {figures['archive_bytes']:,} bytes in place of {_MB:,}")
    return figures


def _album_path(album: str, engine: str) -> str:
    return f"/{engine}/{album}/{ALBUMS[album].number}/"


def _warm_up(album: str, server: Server, engine: str) -> None:
    """Download one file of an album, and see whether it is what it should be."""
    data = server.ask(f"/{engine}/{album}/1/")
    if engine == "plain":
        size = len(data)
    else:
        with ZipFile(BytesIO(data)) as archive:
            size = len(archive.read(archive.namelist()[0]))
    if size != ALBUMS[album].size:
        raise CellError(f"failed: a file has {size:,} bytes in place of {ALBUMS[album].size:,}")


def _fetched(server: Server, path: str, wanted: str | None = None) -> Figures:
    """Download all of it, or a range, and then once more its first byte."""
    headers = {} if wanted is None else {"Range": wanted}
    options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    before, cpu_before = memory.start_peak(server.pid), server.cpu_seconds()
    figures = downloads.download(server.url(path), *options)
    figures["cpu_seconds"] = server.cpu_seconds() - cpu_before
    figures |= _memory_rise(before, server)
    return figures | {"first_byte": server.first_byte(path, headers)}


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
    server.ask("/ours/0/")
    load: AbstractContextManager[None] = nullcontext()
    if kind != "idle":
        load = downloads.downloading([server.url(f"/deflated/{kind}/")] * _CLIENTS)
    return _watched(server, load)


def watch_loop_and_disk(album: str, server: Server, engine: str) -> Figures:
    """See how late they are while files are sent that aren't in the page cache."""
    if engine == "idle":
        return _watched(server, nullcontext())
    _warm_up(album, server, engine)
    # A client downloads it again and again, as the measuring takes longer than one download may.
    url = f"{server.url(_album_path(album, engine))}?again=[1-99]"
    with page_cache.dropped(server.samples.album(album)):
        return _watched(server, downloads.downloading([url] * _CLIENTS))


def _watched(server: Server, load: AbstractContextManager[None]) -> Figures:
    server.ask("/ping/")
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
    if not seconds:
        raise CellError(f"failed: no {name} in {_SECONDS} s")
    # Twice each: a single one, which took all the time, has quantiles, too.
    percentiles = statistics.quantiles(seconds * 2, n=100, method="inclusive")
    return {
        f"{name}_p50": percentiles[49],
        f"{name}_p99": percentiles[98],
        f"{name}_max": max(seconds),
    }


def _memory_rise(before: int | None, server: Server) -> Figures:
    rise = memory.rise(before, server.pid)
    return {} if rise is None else {"memory_rise": rise}


def _films_and_payments(samples: Samples) -> None:
    samples.films()
    samples.payments()


_PEERS = ("stream-zip", "zipstream-ng", "plain")
_UVICORNS = ("uvicorn", "uvicorn-standard")
#: What is downloaded from rows, by which engines and how often at most.
_ALBUMS = (
    ("photos", "10,000 photos of 10 kB, rows with metadata", ("ours", *_PEERS), 9),
    ("photos-unknown", "10,000 photos of 10 kB, rows without metadata", ("ours", *_PEERS), 9),
    ("texts", "5,000 texts of 12 kB, default choices", ("ours", *_PEERS), 9),
    ("large-photos", "200 photos of 5 MB, rows with metadata", ("ours", *_PEERS), 9),
    ("logs", "200 gzipped logs of 5 MB", ("ours", "decoded"), 5),
)

FROM_ROWS = (
    *(
        Serving(
            f"{album}-{server}",
            f"{title}, {server}",
            server,
            partial(fetch_album, album),
            engines,
            needs=methodcaller("album", album),
            group="rows",
            rounds_at_most=rounds,
        )
        for album, title, engines, rounds in _ALBUMS
        for server in ("gunicorn", "uvicorn")
    ),
    *(
        Serving(
            f"rows-end-{server}",
            f"the last MB of 100,000 rows, {server}",
            server,
            partial(fetch_end, "rows"),
            ("ours",),
            needs=methodcaller("album", "rows"),
            group="rows",
        )
        for server in ("gunicorn", "uvicorn")
    ),
    Serving(
        "cold-uvicorn",
        f"{_CLIENTS} downloads of 200 cold photos of 5 MB, uvicorn",
        "uvicorn",
        partial(watch_loop_and_disk, "large-photos"),
        ("idle", "ours", "plain"),
        needs=methodcaller("album", "large-photos"),
        group="rows",
        rounds_at_most=5,
    ),
)

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
            f"{_CLIENTS} downloads of deflated members, {name}",
            name,
            watch_loop,
            ("idle", "sync", "async"),
            needs=_films_and_payments,
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
