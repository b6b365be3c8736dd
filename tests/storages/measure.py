"""Prints what a large S3 object costs: memory, and the time to the first byte.

Not a test: `python -m tests.storages.measure [megabytes]`. Each way is a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.support import clients
from tests.support.contents import Pattern
from tests.support.object_store import BUCKET, S3Handler, serving


def chunks_of_field_file(storage: Any) -> Iterable[bytes]:
    from django.db.models.fields.files import FieldFile, FileField

    field = FileField(storage=storage)
    field.name = field.attname = "file"
    chunks: Iterable[bytes] = FieldFile(type("Row", (), {})(), field, "film.mp4").chunks()
    return chunks


def chunks_of_reader(storage: Any) -> Iterable[bytes]:
    from django_stream_zip.members import storage_member

    return iter(storage_member(storage, "film.mp4")[4])


def archive(storage: Any) -> Iterable[bytes]:
    from django_stream_zip import stream_zip
    from django_stream_zip.members import storage_member

    return stream_zip([storage_member(storage, "film.mp4")])


WAYS: dict[str, Callable[[Any], Iterable[bytes]]] = {
    "FieldFile.chunks()": chunks_of_field_file,
    "storage_member": chunks_of_reader,
    "storage_member in an archive": archive,
}


def measure(way: str, url: str) -> dict[str, float]:
    """Read the object one way; give MB of memory above what the imports took, and seconds."""
    import django
    from django.conf import settings

    settings.configure()
    django.setup()
    with clients.s3(url, BUCKET) as storage:
        storage.size("film.mp4")
        before, started = peak(), time.perf_counter()
        first, total = 0.0, 0
        for chunk in WAYS[way](storage):
            total += len(chunk)
            first = first or time.perf_counter() - started
        seconds = time.perf_counter() - started
        return {"MB": total / 1e6, "memory": peak() - before, "first": first, "seconds": seconds}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(*sys.argv[1:])))
        sys.exit()
    size = int((sys.argv[1:] or ["300"])[0]) * 1_000_000
    with serving(S3Handler) as (store, url):
        store.put("film.mp4", Pattern(size))
        for way in WAYS:
            command = [sys.executable, "-m", "tests.storages.measure", way, url]
            told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            print(
                f"{way:30} {told['MB']:.0f} MB: +{told['memory']:.1f} MB of memory, first byte "
                f"after {told['first'] * 1000:.0f} ms, all after {told['seconds']:.2f} s"
            )
