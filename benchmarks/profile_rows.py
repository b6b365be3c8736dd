"""From rows to bytes, stage by stage: `python -m benchmarks.profile_rows`, in CPU us a member.

10,000 photos of 10 kB are archived by the package in this process, as a view does it: `query` is
what the database takes for the columns, `members` what `queryset_members` takes beyond that (once
with names by a format, as in the README, once with the stored files' names), `response` is
`zip_response` with its plan, `stream` is all blocks. `floor` is a bare loop over the same rows and
files. Each is the least of some repeats, as other programs only ever add to it.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import re
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import Struct
from typing import Any

from benchmarks import albums
from benchmarks.configured import configure
from benchmarks.report import aligned

_COLUMNS = ("file", "title", "zip_size", "zip_crc_32", "zip_modified_at")
_NAME = "{title}{ext}"
_PACK_LOCAL = Struct("<4sHHHLLLLHH").pack
_PACK_CENTRAL = Struct("<4sHHHHLLLLHHHHHLL").pack
_IS_SAFE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9 _-]*[a-zA-Z0-9_-])?\.[a-z0-9]+").fullmatch
_TIME = 0x5C3F63C0
STAGES = ("query", "members", "response", "stream")

Stage = tuple[str, Callable[[Any], Any]]


def package_stages(album: str, name: str | None = _NAME) -> list[Stage]:
    """Return the stages of an archive by the package; each takes what the one before made."""
    from django.test import RequestFactory

    from django_stream_zip.members import queryset_members
    from django_stream_zip.response import zip_response

    queried = _queried(album)
    request = RequestFactory().get("/")
    return [
        ("query", lambda _: list(queried())),
        ("members", lambda _: queryset_members(albums.rows(album), name=name)),
        ("response", lambda members: zip_response(request, members)),
        ("stream", lambda response: _drained(response)),
    ]


def _queried(album: str) -> Callable[[], Any]:
    columns = _COLUMNS if albums.ALBUMS[album].is_known else _COLUMNS[:2]
    return lambda: albums.rows(album).values_list("pk", *columns)


def _drained(response: Any) -> int:
    try:
        return sum(map(len, response))
    finally:
        response.close()


def floor_stages(album: str) -> list[Stage]:
    """Return the least: one query, a pattern and a set for the names, headers, one read a file."""
    media = albums.rows(album).model._meta.get_field("file").storage.location
    queried = _queried(album)
    return [
        ("query", lambda _: list(queried())),
        ("members", lambda _: _floor_members(list(queried()))),
        ("response", lambda members: members),
        ("stream", lambda members: sum(map(len, _floor_blocks(media, members)))),
    ]


def _floor_members(rows: list[Any]) -> list[tuple[str, bytes]]:
    seen, members = set(), []
    for row in rows:
        name = f"{row[2]}{os.path.splitext(row[1])[1]}"
        if not _IS_SAFE(name) or name.casefold() in seen:
            raise ValueError(f"{name!r} isn't safe, or comes again")
        seen.add(name.casefold())
        members.append((row[1], name.encode()))
    return members


def _floor_blocks(media: str, members: list[tuple[str, bytes]]) -> Iterator[bytes]:
    held: list[bytes] = []
    directory: list[bytes] = []
    length = offset = 0
    for stored, name in members:
        descriptor = os.open(f"{media}/{stored}", os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            data = os.read(descriptor, size + 1)
        finally:
            os.close(descriptor)
        facts = _TIME, zlib.crc32(data), size, size, len(name)
        header = _PACK_LOCAL(b"PK\3\4", 20, 2048, 0, *facts, 0)
        directory.append(_PACK_CENTRAL(b"PK\1\2", 813, 20, 2048, 0, *facts, 0, 0, 0, 0, 0, offset))
        directory.append(name)
        held += (header, name, data)
        added = len(header) + len(name) + size
        length, offset = length + added, offset + added
        if length >= 65536:
            yield b"".join(held)
            held, length = [], 0
    yield b"".join(held + directory)


def measured(stages: list[Stage], repeats: int) -> dict[str, float]:
    """Return the least CPU seconds of each stage."""
    least: dict[str, float] = {}
    for _ in range(repeats):
        made: Any = None
        for name, stage in stages:
            start = time.process_time()
            made = stage(made)
            took = time.process_time() - start
            least[name] = min(took, least.get(name, took))
    return least


def profiled(stages: list[Stage], wanted: str) -> None:
    """Print the functions that a stage spends its time in."""
    made: Any = None
    for name, stage in stages:
        profile = cProfile.Profile()
        made = profile.runcall(stage, made) if name == wanted else stage(made)
        if name == wanted:
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_rows", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="how often each is run (7)")
    parser.add_argument("--functions", choices=STAGES, help="profile the functions of a stage")
    parser.add_argument(
        "--album",
        default="photos",
        choices=("photos", "photos-unknown", "texts", "large-photos"),
        help="which files: photos whose rows hold size, time and CRC-32; whose rows don't; ...",
    )
    parser.add_argument("--samples", type=Path, help="a folder to keep the sample files in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="django_stream_zip-profile-") as temporary:
        folder = arguments.samples or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        albums.ensure(folder, arguments.album)
        configure(folder)
        _show(arguments.album, arguments.repeats, arguments.functions)


def _show(album: str, repeats: int, functions: str | None) -> None:
    measured(package_stages(album), 1)  # imports, and the page cache
    if functions:
        profiled(package_stages(album), functions)
        return
    lines = [[f"{album}, CPU us a member", *STAGES, "all"]]
    for title, stages in (
        ("names by a format", package_stages(album)),
        ("names as stored", package_stages(album, None)),
        ("floor", floor_stages(album)),
    ):
        lines.append([title, *_cells(measured(stages, repeats), albums.ALBUMS[album].number)])
    print("\n".join(aligned(lines)))


def _cells(least: dict[str, float], number: int) -> list[str]:
    # The stages come one after the other, but `queryset_members` queries by itself.
    times = {**least, "members": max(0, least["members"] - least["query"])}
    return [f"{seconds / number * 1e6:.1f}" for seconds in (*times.values(), sum(times.values()))]


if __name__ == "__main__":
    main()
