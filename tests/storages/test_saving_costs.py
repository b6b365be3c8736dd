"""What saving costs: requests at the store, and memory."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from django_stream_zip.saving import save_zip
from tests.storages.servers import require_packages
from tests.support import clients
from tests.support.discarding import discarding
from tests.support.network import without_proxies
from tests.support.saving import InjectedError, failing, stored

MIB = 1 << 20
DATA = random.Random(1).randbytes(6 * MIB)


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_are_few(workers: int) -> None:
    members = [stored(f"{number}.bin", DATA) for number in range(3)]
    with discarding() as server, clients.s3(server.url, "bucket") as store:
        save_zip(store, "a.zip", members, workers=workers)
        assert Counter(server.asked) == {"head": 1, "list": 1, "begin": 1, "part": 3, "complete": 1}
        assert sorted(server.lengths)[1:] == [8 * MIB, 8 * MIB]
    # Each content is asked once in each part that it lies in.
    asked = sum(len(member[4].asked) for member in members)
    assert asked == 3 if workers == 1 else asked <= 3 + 2


def test_an_error_aborts_once() -> None:
    members = [stored("a.bin", DATA), failing("b.bin", DATA, 5 * MIB, InjectedError())]
    with discarding() as server, clients.s3(server.url, "bucket") as store:
        with pytest.raises(InjectedError):
            save_zip(store, "a.zip", members, overwrite=True)
        assert server.asked == ["list", "begin", "part", "abort"]


PROGRAM = """
import resource, sys, django
django.setup()
from tests.support import clients
from tests.support.saving_child import members
from django_stream_zip.saving import save_zip, zip_parts

def peak():
    return int(next(line for line in open("/proc/self/status") if "VmHWM" in line).split()[1])

url, kind, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
archived = members(size)
with clients.s3(url, "bucket") as store:
    save_zip(store, "a.zip", members(1000), overwrite=True)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    idle = peak()
    if kind == "whole":
        save_zip(store, "a.zip", archived, overwrite=True, part_size=64 << 20)
    else:
        parts = zip_parts(store, "a.zip", archived, overwrite=True, part_size=64 << 20)
        parts.save(len(parts) // 2)
    print((peak() - idle) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "most"), [("whole", 2 * 64 + 16), ("part", 64 + 8)])
def test_memory_does_not_grow_with_the_archive(kind: str, most: int) -> None:
    """10 GiB: in MiB, at most two parts and 16 more; to make a part, one and 8."""
    require_packages("storages", "boto3")
    environment = {**without_proxies(), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    with discarding() as server:
        command = [sys.executable, "-c", PROGRAM, server.url, kind, str(10 << 30)]
        found = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
    print(kind, found.stdout)
    assert float(found.stdout) <= most
