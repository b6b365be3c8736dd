"""Where the files are, and what can happen to them there: tables of faults."""

from __future__ import annotations

import base64
import os
import random
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.oracle import File
from tests.support.proxy import Proxy

# Seconds between two writes: each is to have its own time. Old kernels count by 4 ms.
TICK = 0.02
BEGINNING = 1_700_000_000 * 10**9


def step() -> None:
    time.sleep(TICK)


class LocalPlace:
    """A directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.disturbed = 0

    def path(self, file: File) -> Path:
        return self.root / file.name

    def create(self, file: File, size: int, *, known: bool) -> None:
        """Make the first state of a file, which is old."""
        path = self.path(file)
        path.parent.mkdir(exist_ok=True)
        data = file.fresh(size)
        file.change("made", data, lambda: path.write_bytes(data))
        os.utime(path, ns=(BEGINNING, BEGINNING))

    def remove(self, files: list[File]) -> None:
        shutil.rmtree(self.path(files[0]).parent, ignore_errors=True)

    def vouched(self, declared: tuple[str, ...]) -> tuple[str, ...]:
        """Return what only the row vouches for, of what is declared."""
        return declared

    def declared(self, file: File) -> dict[str, Any]:
        """Tell what a row would know of the file."""
        return {"size": len(file.now), "crc": zlib.crc32(file.now), "at": BEGINNING // 10**9}


def write_at(path: Path, position: int, data: bytes) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(position)
        file.write(data)


def rewrite(place: LocalPlace, file: File, source: random.Random) -> None:
    """Write over the file in one to three steps; each leaves a state that somebody may read."""
    path, old = place.path(file), file.now
    new, position = file.fresh(len(old)), 0
    for cut in [
        *sorted(source.randint(0, len(old)) for _ in range(source.randint(0, 2))),
        len(old),
    ]:
        step()
        file.change(
            f"rewritten up to {cut}",
            new[:cut] + old[cut:],
            lambda start=position, stop=cut: write_at(path, start, new[start:stop]),
        )
        position = cut


def rewrite_last(place: LocalPlace, file: File, source: random.Random) -> None:
    """Write over some bytes at the end only, as who edits tags does."""
    step()
    old, length = file.now, min(len(file.now), 128)
    tail, start = file.fresh(length), len(file.now) - length
    state = old[:start] + tail
    file.change("new tail", state, lambda: write_at(place.path(file), start, tail))


def there_and_back(place: LocalPlace, file: File, source: random.Random) -> None:
    """Write something else over the file, and then what was there before."""
    path, old = place.path(file), file.now
    for label, data in (("another", file.fresh(len(old))), ("back", old)):
        step()
        file.change(label, data, lambda data=data: write_at(path, 0, data))


def truncate(place: LocalPlace, file: File, source: random.Random) -> None:
    step()
    size = source.randint(0, len(file.now))
    file.change("truncated", file.now[:size], lambda: os.truncate(place.path(file), size))


def grow(place: LocalPlace, file: File, source: random.Random) -> None:
    step()
    old, more = file.now, file.fresh(source.randint(1, 200_000))
    file.change("grown", old + more, lambda: write_at(place.path(file), len(old), more))


def replace(place: LocalPlace, file: File, source: random.Random) -> None:
    size = source.choice([len(file.now), source.randint(0, 300_000)])
    rename_over(place, file, size)


def rename_over(place: LocalPlace, file: File, size: int) -> None:
    step()
    path, data = place.path(file), file.fresh(size)
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(data)
    file.change("replaced", data, lambda: beside.replace(path))


def delete(place: LocalPlace, file: File, source: random.Random) -> None:
    place.path(file).unlink(missing_ok=True)


def make_unreadable(place: LocalPlace, file: File, source: random.Random) -> None:
    place.path(file).chmod(0)


LocalFault = Callable[[LocalPlace, File, random.Random], None]


def restored(fault: LocalFault) -> LocalFault:
    """Have a fault put the time of modification back, as rsync and tag editors do."""

    def restoring(place: LocalPlace, file: File, source: random.Random) -> None:
        path = place.path(file)
        if path.exists():
            before = path.stat().st_mtime_ns
            fault(place, file, source)
            os.utime(path, ns=(before, before))

    return restoring


def present(fault: LocalFault) -> LocalFault:
    """Have a fault do nothing to a file that isn't there any more."""

    def careful(place: LocalPlace, file: File, source: random.Random) -> None:
        if place.path(file).exists():
            fault(place, file, source)

    return careful


LOCAL_FAULTS: dict[str, LocalFault] = {
    "rewrite": rewrite,
    "rewrite-restored": restored(rewrite),
    "tail": rewrite_last,
    "tail-restored": restored(rewrite_last),
    "back-restored": restored(there_and_back),
    "truncate": truncate,
    "truncate-restored": restored(truncate),
    "grow": grow,
    "grow-restored": restored(grow),
    "replace": replace,
    "replace-restored": restored(lambda place, file, _: rename_over(place, file, len(file.now))),
    "delete": delete,
    "unreadable": make_unreadable,
}
LOCAL_FAULTS = {name: present(fault) for name, fault in LOCAL_FAULTS.items()}


class S3Place:
    """A bucket of an object store, behind a proxy that cuts connections."""

    def __init__(self, store: Any, proxy: Proxy) -> None:
        self.store = store
        self.proxy = proxy
        self.disturbed = 0

    def create(self, file: File, size: int, *, known: bool) -> None:
        data = file.fresh(size)
        file.change("made", data, lambda: self.put(file, data, known=known))

    def put(self, file: File, data: bytes, *, known: bool) -> None:
        checksum = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
        headers = {"x-amz-checksum-crc32": checksum, "x-amz-checksum-type": "FULL_OBJECT"}
        self.store.put(file.name, data, headers=headers if known else {})

    def is_known(self, file: File) -> bool:
        stored = self.store.objects.get(file.name)
        return bool(stored and stored.headers)

    def remove(self, files: list[File]) -> None:
        for file in files:
            self.store.objects.pop(file.name, None)

    def vouched(self, declared: tuple[str, ...]) -> tuple[str, ...]:
        """Return what only the row vouches for. A CRC-32 alone is the store's own: see `put`."""
        return declared if "size" in declared else ()

    def declared(self, file: File) -> dict[str, Any]:
        return {"size": len(file.now), "crc": zlib.crc32(file.now), "at": BEGINNING // 10**9}


def overwrite(place: S3Place, file: File, source: random.Random) -> None:
    _overwrite(place, file, len(file.now))


def overwrite_resized(place: S3Place, file: File, source: random.Random) -> None:
    _overwrite(place, file, source.randint(0, 300_000))


def _overwrite(place: S3Place, file: File, size: int) -> None:
    data, known = file.fresh(size), place.is_known(file)
    file.change("overwritten", data, lambda: place.put(file, data, known=known))


def delete_object(place: S3Place, file: File, source: random.Random) -> None:
    place.remove([file])


def reset(place: S3Place, file: File, source: random.Random) -> None:
    """Cut all connections to the store."""
    place.disturbed += 1
    place.proxy.cut_now()


def flaky(place: S3Place, file: File, source: random.Random) -> None:
    """Cut those that there are and some that come."""
    place.proxy.cut_after.extend(source.randint(0, 100_000) for _ in range(3))
    reset(place, file, source)


S3_FAULTS: dict[str, Callable[[S3Place, File, random.Random], None]] = {
    "overwrite": overwrite,
    "overwrite-resized": overwrite_resized,
    "delete": delete_object,
    "reset": reset,
    "flaky": flaky,
}

FAULTS: dict[str, dict[str, Any]] = {"local": LOCAL_FAULTS, "s3": S3_FAULTS}
