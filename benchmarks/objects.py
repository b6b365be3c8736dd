"""Members in an object store that is 30 ms away: a stand-in for S3, behind a proxy.

The server (`bucket.py`) answers as S3 does and counts what it is asked. The cell
reads in a process of its own, `python -m benchmarks.objects WAY URL NUMBER SIZE EXTENSION`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from subprocess import PIPE
from typing import Any

from benchmarks import bucket, checkouts, csv_text, memory
from benchmarks.files import Decoded
from benchmarks.package import named
from benchmarks.samples import Samples
from benchmarks.workload import CellError, Figures, need

ROUND_TRIP = 0.030
Files = list[tuple[str, int]]
LOG = ".log"
_PACKAGES = ("boto3", "storages", "obstore")


@dataclass(frozen=True)
class Objects:
    """So many objects of one size, archived in several ways."""

    name: str
    title: str
    number: int
    size: int
    engines: tuple[str, ...]
    #: Logs are stored gzipped. Their size is that of what they are decoded to.
    extension: str = ".jpg"
    group: str = "storages"
    rounds_at_most: int = 5

    def measure(self, engine: str, samples: Samples) -> Figures:
        """Start a store, read it in a process of its own, and count what was asked."""
        need(*_PACKAGES)
        from benchmarks.delay import delayed

        store = self._bucket()
        with bucket.serving(store) as own, delayed(own, ROUND_TRIP) as port:
            way, url = checkouts.current(engine), f"http://127.0.0.1:{port}"
            arguments = (way, url, str(self.number), str(self.size), self.extension)
            process = checkouts.process(engine, samples.folder, "benchmarks.objects", *arguments)
            with subprocess.Popen(
                **process, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
            ) as cell:
                assert cell.stdout is not None
                cell.stdout.readline()  # when it is warm
                before = store.requests
                told, errors = cell.communicate("go\n")
            if cell.returncode:
                raise CellError(errors.strip().splitlines()[-1])
            figures: Figures = json.loads(told)
            return figures | {"requests": float(store.requests - before)}

    def _bucket(self) -> bucket.Bucket:
        files = [_first(self.extension), *_files(self.number, self.size, self.extension)]
        if self.extension != LOG:
            return bucket.Bucket(dict(files))
        gzipped = gzip.compress(csv_text.text(self.size, csv_text.requests))
        return bucket.Bucket({name: len(gzipped) for name, _ in files}, gzipped)


def _first(extension: str) -> tuple[str, int]:
    """Return the object that is read before the clock starts."""
    return f"first{extension}", 1000


def _files(number: int, size: int, extension: str) -> list[tuple[str, int]]:
    return [(f"{one:04}{extension}", size + one) for one in range(number)]


# The ways, in the cell's process.


def _known(storage: Any, files: Files) -> list[Any]:
    """Return members of which the application knows size and time."""
    from django_stream_zip.members import storage_member

    return [
        storage_member(storage, name, size=size, modified_at=bucket.TIME) for name, size in files
    ]


def _asked(storage: Any, files: Files) -> list[Any]:
    """Return members of which the storage is asked, as `queryset_members` does it."""
    from django_stream_zip.members.collect import Collector, StoredFile

    return list(Collector().members(StoredFile(storage, name) for name, _ in files))


def one_at_a_time(storage: Any, files: Files) -> Iterable[bytes]:
    from django_stream_zip import stream_zip

    return stream_zip(_known(storage, files))


def ahead(storage: Any, files: Files) -> Iterable[bytes]:
    from django_stream_zip import stream_zip

    prefetched = named("django_stream_zip.prefetch.threads.prefetched")
    return stream_zip(prefetched(_known(storage, files)))


def response(storage: Any, files: Files) -> Iterable[bytes]:
    """Answer a request: the archive is planned, and so described before."""
    from django.test import RequestFactory

    from django_stream_zip.response import zip_response

    answer: Any = zip_response(RequestFactory().get("/"), _asked(storage, files))
    return answer


def decoded_response(storage: Any, files: Files) -> Iterable[bytes]:
    """Answer with logs that the application decodes."""
    from django.test import RequestFactory

    from django_stream_zip.members import storage_member
    from django_stream_zip.response import zip_response

    build_member = named("django_stream_zip.members.build.build_member")
    members = []
    for name, _ in files:
        *_, stored = storage_member(storage, name, decode=False)
        members.append(build_member(name, bucket.TIME, 0o100644, True, Decoded(stored)))
    answer: Any = zip_response(RequestFactory().get("/"), members)
    return answer


def list_response(storage: Any, files: Files) -> Iterable[bytes]:
    """Answer with what is written without thinking of it: a list of members, one by one."""
    from django.test import RequestFactory

    from django_stream_zip.members import field_member
    from django_stream_zip.response import zip_response

    members = [field_member(_field_file(storage, name)) for name, _ in files]
    answer: Any = zip_response(RequestFactory().get("/"), members)
    return answer


async def _async_response(storage: Any, files: Files) -> AsyncIterator[bytes]:
    from asgiref.sync import sync_to_async
    from django.test import AsyncRequestFactory

    from django_stream_zip.response import zip_response

    async_member = named("django_stream_zip.members.async_member")
    members = await sync_to_async(lambda: [async_member(one) for one in _asked(storage, files)])()
    answer: Any = zip_response(AsyncRequestFactory().get("/"), members)
    async for block in answer:
        yield block


def async_response(storage: Any, files: Files) -> Iterator[bytes]:
    blocks = _async_response(storage, files)
    with asyncio.Runner() as runner:
        # Not by `run`: to set the signal's handler, it has each block's `repr` made, in 0.5 ms.
        run = runner.get_loop().run_until_complete
        while block := run(anext(blocks, b"")):
            yield block


def _field_file(storage: Any, name: str) -> Any:
    from django.db.models.fields.files import FieldFile, FileField

    field = FileField(storage=storage)
    field.name = field.attname = "file"
    return FieldFile(type("Row", (), {})(), field, name)


def stream_zip_of_field_files(storage: Any, files: Files) -> Iterable[bytes]:
    """Feed stream-zip with what FieldFile gives, as its users do."""
    from stream_zip import ZIP_32, stream_zip

    def members() -> Iterator[Any]:
        for name, _ in files:
            yield name, bucket.TIME, 0o600, ZIP_32, _field_file(storage, name).chunks()

    return stream_zip(members())


WAYS: dict[str, Callable[[Any, Files], Iterable[bytes]]] = {
    "one at a time": one_at_a_time,
    "ahead": ahead,
    "response": response,
    "list": list_response,
    "async response": async_response,
    "decoded": decoded_response,
    "stream-zip": stream_zip_of_field_files,
}

_PICTURES = tuple(way for way in WAYS if way != "decoded")

OBJECTS = (
    Objects(
        "objects",
        f"200 objects of 20 kB, {ROUND_TRIP * 1000:.0f} ms away",
        200,
        20_000,
        _PICTURES,
    ),
    Objects(
        "listed-objects",
        f"100 objects of 20 kB, {ROUND_TRIP * 1000:.0f} ms away, described first",
        100,
        20_000,
        ("response", "list"),
    ),
    Objects(
        "large-object",
        f"an object of 300 MB, {ROUND_TRIP * 1000:.0f} ms away",
        1,
        300_000_000,
        _PICTURES,
    ),
    Objects(
        "gzipped-objects",
        f"200 gzipped logs of 5 MB, {ROUND_TRIP * 1000:.0f} ms away",
        200,
        5_000_000,
        ("response", "decoded"),
        extension=LOG,
    ),
)


def run(way: str, url: str, number: int, size: int, extension: str) -> Figures:
    """Make the archive one way; the client is there already."""
    import django
    from django.conf import settings

    settings.configure(CACHES={}, DJANGO_STREAM_ZIP={"CRC_32_CACHE": None})
    django.setup()
    storage = _storage(url, is_gzipped=extension == LOG)
    b"".join(WAYS[way](storage, [_first(extension)]))  # imports, makes the client
    print("warm", flush=True)
    sys.stdin.readline()
    start_memory, started = memory.start_peak(), time.perf_counter()
    cpu_before, first, length = _cpu_seconds(), 0.0, 0
    for block in WAYS[way](storage, _files(number, size, extension)):
        first = first or time.perf_counter() - started
        length += len(block)
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": _cpu_seconds() - cpu_before,
        "first_byte": first,
        "archive_bytes": float(length),
        "content_bytes": float(number * size),
    }
    rise = memory.rise(start_memory)
    return figures if rise is None else figures | {"memory_rise": float(rise)}


def _storage(url: str, *, is_gzipped: bool) -> Any:
    from storages.backends.s3 import S3Storage

    return S3Storage(
        bucket_name=bucket.NAME,
        endpoint_url=url,
        region_name="us-east-1",
        addressing_style="path",
        access_key="key",
        secret_key="secret",
        gzip=is_gzipped,
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    _, way, url, number, size, extension = sys.argv
    json.dump(run(way, url, int(number), int(size), extension), sys.stdout)
