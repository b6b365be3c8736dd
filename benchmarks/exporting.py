"""Archives that workers build in the background, in a store that is slow and some way off.

The store is an OpenStack Swift of one disk on this machine (that of the tests), behind a proxy. The
members are files on this machine's disk, or objects in a stand-in for S3 (`bucket.py`), also behind
a proxy: a whole Swift answers no more than some dozens of requests a second here, and would be what
is measured. The workers are django-tasks-db's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import bucket
from benchmarks.delay import delayed
from benchmarks.samples import Samples
from benchmarks.workload import CellError, Figures, need

ROUND_TRIP = 0.030
BYTES_A_SECOND = 20e6
ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("boto3", "django_tasks_db", "keystonemiddleware", "pytest", "storages", "swift")
_WORKERS = {"one worker": 1, "two workers": 2}
_SWIFT_KEY = ("test:tester", "testing")
_ALBUM = "album"
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Exporting:
    """An export of so many members of one size, built by one worker or by two."""

    name: str
    title: str
    number: int
    size: int
    is_remote: bool
    engines: tuple[str, ...] = tuple(_WORKERS)
    group: str = "exports"
    rounds_at_most: int = 5

    def measure(self, engine: str, samples: Samples) -> Figures:
        """Start the stores and the workers, and have an archive built."""
        need(*_PACKAGES)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(samples.subfolder()))
            near, far = stack.enter_context(_swift(folder))
            places = {"folder": str(folder), "exports": far, "near": near}
            places["default"] = (
                stack.enter_context(self._objects()) if self.is_remote else files_in(folder)
            )
            environment = {**os.environ, "EXPORTS_PLACES": json.dumps(places)}
            environment["DJANGO_SETTINGS_MODULE"] = "benchmarks.exports_settings"
            python(environment, "benchmarks.exporting", "prepare", str(self.number), str(self.size))
            workers = [
                stack.enter_context(_worker(environment, folder)) for _ in range(_WORKERS[engine])
            ]
            pids = ",".join(str(worker.pid) for worker in workers)
            figures: Figures = json.loads(python(environment, "benchmarks.exporting", "run", pids))
            return figures | {"content_bytes": float(self.number * self.size)}

    @contextmanager
    def _objects(self) -> Iterator[dict[str, Any]]:
        """Serve the members as objects; yield the storage that has them."""
        sizes = {_stored(number): self.size for number in range(self.number)}
        with (
            bucket.serving(bucket.Bucket(sizes)) as own,
            delayed(own, ROUND_TRIP, BYTES_A_SECOND) as port,
        ):
            yield _s3(port, "key", "secret")


EXPORTED = (
    Exporting("export-files", "an export of 10,000 files, 325 MB", 10_000, 32_500, is_remote=False),
    Exporting("export-objects", "the same of 10,000 objects", 10_000, 32_500, is_remote=True),
)


# The stores and the workers.


@contextmanager
def _swift(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Run Swift in a folder; yield a bucket of it as a storage, without and with the way."""
    from tests.storages import servers

    (folder / "swift").mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(servers.swift(folder / "swift"))
        near = int(url.rpartition(":")[2])
        far = stack.enter_context(delayed(near, ROUND_TRIP, BYTES_A_SECOND))
        yield _s3(near, *_SWIFT_KEY), _s3(far, *_SWIFT_KEY)


def _s3(port: int, key: str, secret: str) -> dict[str, Any]:
    options = {
        "bucket_name": bucket.NAME,
        "endpoint_url": f"http://127.0.0.1:{port}",
        "region_name": "us-east-1",
        "addressing_style": "path",
        "access_key": key,
        "secret_key": secret,
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


def files_in(folder: Path) -> dict[str, Any]:
    """Return the storage of files in a folder."""
    options = {"location": str(folder / "media")}
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}


@contextmanager
def _worker(environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "django", "db_worker", "--interval", "0.1"]
    with (folder / "workers.log").open("ab") as log:
        worker = subprocess.Popen(
            [*command, "--no-startup-delay"], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
        try:
            yield worker
        finally:
            worker.kill()
            worker.wait()


def python(environment: dict[str, str], *arguments: str) -> str:
    """Run a module in a process of the site; return what it prints."""
    command = [sys.executable, "-m", *arguments]
    found = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        raise CellError(found.stderr.strip().splitlines()[-1])
    return found.stdout


# What is done in the site's processes.


def _stored(number: int) -> str:
    return f"{number:05}.jpg"


def _prepare(number: int, size: int) -> None:
    """Make the bucket, the tables, the rows and the files."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.files.storage import storages
    from django.core.management import call_command

    from benchmarks.models import Known

    storages["exports"].connection.create_bucket(Bucket=bucket.NAME)
    call_command("migrate", run_syncdb=True, verbosity=0)
    User.objects.create(username="ada")
    content = bucket.content(size)
    media = Path(settings.PLACES["folder"]) / "media"
    media.mkdir()
    for one in range(number):
        (media / _stored(one)).write_bytes(content)
    known = {"zip_size": size, "zip_crc_32": zlib.crc32(content)}
    known["zip_modified_at"] = bucket.TIME
    Known.objects.bulk_create(
        [
            Known(album=_ALBUM, number=one, title=f"Photo {one}", file=_stored(one), **known)
            for one in range(number)
        ],
        batch_size=1000,
    )


def _run(pids: list[str]) -> Figures:
    """Request the archive, wait until it is ready, and see whether it is whole."""
    from django.contrib.auth.models import User
    from django.core.files.storage import storages

    from django_stream_zip.exports import ZipExport, request_zip

    time.sleep(2)  # until the workers have imported what they need
    before, started = _cpu_seconds(pids), time.perf_counter()
    export = request_zip("album", owner=User.objects.get(), name=_ALBUM)
    while export.is_working:
        time.sleep(0.05)
        export = ZipExport.objects.get(pk=export.pk)
    seconds = time.perf_counter() - started
    if export.state != "ready":
        raise SystemExit(f"the export is {export.state}: {export.error}")
    with storages["near"].open(export.file) as file:
        crc_32 = zlib.crc32(file.read())
    if crc_32 != export.crc_32:
        raise SystemExit("the archive isn't what was planned")
    figures = {"seconds": seconds, "cpu_seconds": _cpu_seconds(pids) - before}
    return figures | {"archive_bytes": float(export.length or 0), "members": float(export.members)}


def _cpu_seconds(pids: list[str]) -> float:
    """Return what processes have used so far."""
    used = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[11]) + int(fields[12])) * _TICK
    return used


if __name__ == "__main__":
    import django

    django.setup()
    what, *arguments = sys.argv[1:]
    if what == "prepare":
        _prepare(*map(int, arguments))
    else:
        json.dump(_run(arguments[0].split(",")), sys.stdout)
