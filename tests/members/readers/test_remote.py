"""What is made once for a process, however many threads are the first to ask for it."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_stream_zip.members import storage_member
from tests.storages.servers import require_packages
from tests.support import clients
from tests.support.object_store import BUCKET, S3Handler, serving


class Storage:
    """Can be referred to weakly, as a storage can."""


def at_once(number: int, do: Any) -> list[Any]:
    barrier = threading.Barrier(number)

    def wait_and_do(_: int) -> Any:
        barrier.wait(30)
        return do()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(wait_and_do, range(number)))


def test_many_first_ones_get_the_same() -> None:
    from django_stream_zip.members.readers.processes import PerProcess

    one, storage, made = PerProcess(), Storage(), []

    def make(_: Any) -> object:
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    assert set(at_once(50, lambda: one.get(storage, make))) == set(made)
    assert len(made) == 1
    assert one.get(storage, make, "elsewhere") is not made[0]
    assert one.get(Storage(), make) not in made[:2]


def test_what_cannot_be_made_is_tried_again() -> None:
    from django_stream_zip.members.readers.processes import PerProcess

    one, storage = PerProcess(), Storage()
    with pytest.raises(ZeroDivisionError):
        one.get(storage, lambda _: 1 / 0)
    assert one.get(storage, lambda _: 5) == 5


def test_one_storage_does_not_wait_for_another() -> None:
    from django_stream_zip.members.readers.processes import PerProcess

    one, begun, finished = PerProcess(), threading.Event(), threading.Event()

    def slow(_: Any) -> int:
        begun.set()
        assert finished.wait(30)
        return 1

    thread = threading.Thread(target=one.get, args=(Storage(), slow))
    thread.start()
    assert begun.wait(30)
    assert one.get(Storage(), lambda _: 2) == 2
    finished.set()
    thread.join()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_that_was_forked_meanwhile_makes_its_own() -> None:
    from django_stream_zip.members.readers import processes

    one, storage, begun, finished = (
        processes.PerProcess(),
        Storage(),
        threading.Event(),
        threading.Event(),
    )

    def slow(_: Any) -> int:
        begun.set()
        assert finished.wait(30)
        return os.getpid()

    thread = threading.Thread(target=one.get, args=(storage, slow))
    thread.start()
    assert begun.wait(30)
    with processes._lock:  # as somebody may have it at that moment
        pid = os.fork()
        if pid == 0:
            is_right = one.get(storage, lambda _: os.getpid()) == os.getpid()
            os._exit(0 if is_right else 1)
    deadline = time.monotonic() + 30
    status = None
    while not status and time.monotonic() < deadline:
        ended, code = os.waitpid(pid, os.WNOHANG)
        status = (code,) if ended else None
        time.sleep(0.01)
    if status is None:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    finished.set()
    thread.join()
    assert status == (0,)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")
def test_many_first_requests_make_one_client() -> None:
    require_packages("storages", "boto3")
    with serving(S3Handler) as (store, url), clients.s3(url, BUCKET) as storage:
        store.put("x", b"x")
        found = at_once(20, lambda: storage_member(storage, "x")[4])
        assert len({id(content.reader.client) for content in found}) == 1
