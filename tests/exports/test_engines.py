"""The same under each task engine, with workers in processes of their own, which are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.support.network import end, eventually, free_port, listens

ROOT = Path(__file__).parents[2]
ENGINES = ["django.tasks", "celery-files", "celery-redis"]
# By the names of packages and programs that they need.
NEEDS = {
    "django.tasks": ["django_tasks_db"],
    "celery-files": ["celery"],
    "celery-redis": ["celery", "redis"],
}
SIZES = [1_000_000, 0, 300_000, 1, 700_000]


class Site:
    """A site in a folder, its driver and its workers."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder = folder
        self.stored = folder / "stored"
        self.files = folder / "files"
        self.engine = engine
        self.workers: list[subprocess.Popen[bytes]] = []
        self._open = ExitStack()
        for name in ("files", "stored", "queue/control"):
            (folder / name).mkdir(parents=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.exports.site.settings",
            "EXPORTS_SITE": str(folder),
            "EXPORTS_ENGINE": engine,
            "EXPORTS_BROKER": "filesystem://",
        }
        if engine == "celery-redis":
            self.environment["EXPORTS_BROKER"] = self._open.enter_context(closing(Redis())).url
        self.log = self._open.enter_context((folder / "log").open("wb"))
        self.put(SIZES)
        self.driver = self._started(["-m", "tests.exports.site.driver"], is_driver=True)
        assert self._answer() == "ready", self.logged()

    def put(self, sizes: list[int]) -> None:
        """Put files of these sizes into the folder."""
        index = {}
        for number, size in enumerate(sizes):
            data = random.Random(f"{number} {size}").randbytes(size)
            (self.files / f"{number}.bin").write_bytes(data)
            index[f"{number}.bin"] = zlib.crc32(data)
        (self.files / "index.json").write_text(json.dumps(index))

    def start(self, number: int = 2) -> None:
        """Start workers."""
        if self.engine == "django.tasks":
            command = ["-m", "django", "db_worker", "--interval", "0.1", "--no-startup-delay"]
        else:
            app = "tests.exports.site.celery"
            command = ["-m", "celery", "-A", app, "worker", "--pool", "solo", "--without-gossip"]
            command += ["--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
        self.workers += [self._started(command) for _ in range(number)]

    def kill(self, worker: Any = None, number: int = signal.SIGKILL) -> None:
        """Send a signal to a worker, all of them or one, and wait for its end."""
        for one in [worker] if worker else list(self.workers):
            with suppress(ProcessLookupError):
                os.killpg(one.pid, number)
            one.wait(timeout=30)
            self.workers.remove(one)

    def do(self, code: str) -> Any:
        """Have the driver evaluate an expression."""
        assert self.driver.stdin
        self.driver.stdin.write(json.dumps(code).encode() + b"\n")
        self.driver.stdin.flush()
        answer = self._answer()
        assert not (isinstance(answer, dict) and "error" in answer and len(answer) == 1), answer
        return answer

    def refuse(self, *what: str) -> None:
        """Have the store refuse that from now on: "create", "write", "rename"."""
        path = self.folder / "refusing"
        if what:
            path.with_suffix(".new").write_text(" ".join(what))
            path.with_suffix(".new").replace(path)
        else:
            path.unlink()

    def state(self, pk: str) -> str:
        return str(self.do(f"row({pk!r})['state']"))

    def wait(self, pk: str, *states: str, seconds: float = 60, sweeps: bool = False) -> str:
        """Wait until an export is in one of these states, with a sweep each second."""
        swept = time.monotonic()

        def arrived() -> bool:
            nonlocal swept
            if sweeps and time.monotonic() > swept + 1:
                self.do("sweep()")
                swept = time.monotonic()
            return self.state(pk) in states

        assert eventually(arrived, seconds), f"{self.do(f'row({pk!r})')}\n{self.logged()}"
        return self.state(pk)

    def names(self) -> list[str]:
        """Give all stored files, also of those that are not published."""
        return sorted(str(p.relative_to(self.stored)) for p in self.stored.rglob("*.*"))

    def check(self, pk: str) -> None:
        """Compare a ready archive with the streamed one; nothing else is there."""
        path = self.stored / self.do(f"row({pk!r})['file']")
        assert sha256(path.read_bytes()).hexdigest() == self.do("streamed()")
        with ZipFile(path) as archive:
            assert archive.testzip() is None
        assert self.names() == [str(path.relative_to(self.stored))]

    def logged(self) -> str:
        return (self.folder / "log").read_text()[-5000:]

    def close(self) -> None:
        self.kill()
        end(self.driver)
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.close()
        self.driver.stdout.close()
        self._open.close()

    def _started(self, command: list[str], *, is_driver: bool = False) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE if is_driver else subprocess.DEVNULL
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=self.environment,
            stdin=pipe,
            stdout=pipe if is_driver else self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def _answer(self) -> Any:
        assert self.driver.stdout
        line = self.driver.stdout.readline()
        assert line, self.logged()
        return json.loads(line)


class Redis:
    """A server that keeps nothing."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, cwd="/", start_new_session=True
        )
        assert eventually(lambda: listens(port))

    def close(self) -> None:
        end(self.process)


@pytest.fixture(params=ENGINES)
def site(request: Any, tmp_path: Path) -> Iterator[Site]:
    for package in NEEDS[request.param]:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if request.param == "celery-redis" and not Path("/usr/bin/redis-server").exists():
        pytest.skip("redis-server is not installed")
    with closing(Site(tmp_path / "site", request.param)) as site:
        yield site


def test_an_archive_is_built_by_a_worker(site: Site) -> None:
    site.start(1)
    pk = site.do("request()")
    site.wait(pk, "ready", "failed")
    site.check(pk)


@pytest.mark.slow
def test_workers_share_the_work(site: Site) -> None:
    site.start(2)
    pk = site.do("request()")
    assert site.do("request()") == pk, "a second click"
    other = site.do("request(owner=grace)")
    site.wait(pk, "ready", "failed")
    site.wait(other, "ready", "failed")
    site.check(pk)
    site.check(other)
    assert site.do("sweep()") == []


@pytest.mark.slow
@pytest.mark.parametrize("is_known", [True, False], ids=["in parts", "from its beginning"])
def test_killed_workers_leave_nothing_that_is_not_whole(site: Site, is_known: bool) -> None:
    """Twenty times one of two workers is killed, now and then both, at any moment."""
    chances = random.Random()
    site.put([2_000_000, 0, 1_500_000, 1, 2_500_000])
    pk = site.do(f"request(is_known={is_known})")
    trials = 20 if is_known else 6
    finished = 0
    for trial in range(trials):
        site.start(2 - len(site.workers))
        time.sleep(chances.uniform(0.5, 3.0))
        if site.state(pk) == "ready":
            finished += 1
            if is_known:
                site.check(pk)
            pk = site.do(f"(ZipExport.objects.all().delete(), request(is_known={is_known}))[1]")
        if trial % 4 == 3:
            site.kill()
        else:
            site.kill(chances.choice(site.workers))
        published = [name for name in site.names() if name.endswith(".zip")]
        if site.state(pk) in ("queued", "building"):
            assert published == []
        site.do("sweep()")
    site.start(2 - len(site.workers))
    site.wait(pk, "ready", "failed", seconds=120, sweeps=True)
    assert site.state(pk) == "ready"
    if is_known:
        site.check(pk)
    assert len(site.names()) == 1
    print(f"{site.engine}: {trials} kills, {finished + 1} archives")


@pytest.mark.slow
def test_a_deployment_in_the_middle_loses_nothing(site: Site) -> None:
    site.start(2)
    pk = site.do("request()")
    site.wait(pk, "building")
    site.kill(number=signal.SIGTERM)
    site.start(2)
    site.wait(pk, "ready", "failed", sweeps=True)
    site.check(pk)


@pytest.mark.slow
def test_what_is_cancelled_ends_and_leaves_nothing(site: Site) -> None:
    site.start(2)
    pk = site.do("request()")
    site.wait(pk, "building")
    assert site.do(f"cancel(ZipExport.objects.get(pk={pk!r}))") is True
    assert eventually(lambda: site.names() == [])
    time.sleep(3)
    site.do("sweep()")
    assert site.names() == []
    assert site.do(f"row({pk!r})['file']") == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "state"), [("create", "queued"), ("write", "building"), ("rename", "finishing")]
)
def test_a_store_that_refuses_for_a_while_is_asked_again(what: str, state: str, site: Site) -> None:
    site.refuse(what)
    site.start(2)
    pk = site.do("request()")
    for _ in range(2):  # also when the sweep has enqueued it again
        assert eventually(lambda: f"may not {what}" in site.logged(), 60), site.logged()
        (site.folder / "log").write_bytes(b"")
        assert eventually(lambda: site.do("sweep()") == ["resumed"], 60)
    assert site.state(pk) == state
    assert [name for name in site.names() if name.endswith(".zip")] == []
    assert site.do(f"row({pk!r})['error']") == ""
    site.refuse()
    site.wait(pk, "ready", "failed", sweeps=True)
    site.check(pk)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["create", "write", "rename"])
def test_a_store_that_refuses_for_ever_is_a_failure(what: str, site: Site) -> None:
    site.refuse(what)
    site.start(2)
    pk = site.do("request()")
    assert eventually(lambda: f"may not {what}" in site.logged(), 60), site.logged()
    site.do("ZipExport.objects.update(attempts=98)")
    site.wait(pk, "failed", sweeps=True)
    error = "The archive could not be prepared. Please try again later."
    assert site.do(f"row({pk!r})['error']") == error
    assert eventually(lambda: site.do("sweep()") == [] and site.names() == [], 60)
    site.refuse()
    other = site.do("request()")
    assert other != pk
    site.wait(other, "ready", sweeps=True)
    site.check(other)


@pytest.mark.slow
def test_what_is_missing_or_replaced_is_a_failure_and_what_expires_is_removed(site: Site) -> None:
    site.start(2)
    pk = site.do("request()")
    site.wait(pk, "building")
    (site.files / "0.bin").write_bytes(b"replaced")
    site.wait(pk, "ready", "failed", sweeps=True)
    assert site.state(pk) == "failed"
    assert eventually(lambda: site.do("sweep()") == [] and site.names() == [])
    site.put(SIZES)
    (site.files / "4.bin").unlink()
    pk = site.do("request()")
    site.wait(pk, "failed")
    assert site.names() == []
    site.put(SIZES)
    pk = site.do("request()")
    site.wait(pk, "ready")
    site.do("ZipExport.objects.update(expires='2020-01-01T00:00Z')")
    site.do("sweep()")
    assert site.state(pk) == "expired"
    assert site.names() == []
