"""The table of workloads and of the engines that do them."""

from __future__ import annotations

from functools import partial

from benchmarks import jobs
from benchmarks.engines.engine import How
from benchmarks.exporting import EXPORTED
from benchmarks.files import File
from benchmarks.jobs import GIB
from benchmarks.objects import OBJECTS
from benchmarks.planning import Planning
from benchmarks.requesting import REQUESTED
from benchmarks.samples import MIB, Samples
from benchmarks.serving import FROM_ROWS, SERVED
from benchmarks.streaming import Streaming
from benchmarks.workload import Workload

DEFLATED = How(compress=True)
DEFLATED_9 = How(compress=True, level=9)
STORED = How(compress=False)
STORED_AT_ONCE = How(compress=False, queues=False)
STORED_NO_CRC_32 = How(compress=False, knows_crc_32=False)
DEFAULT = How(compress=None)
AES_STORED = How(compress=False, password="correct horse battery staple")
AES_DEFLATED = How(compress=True, password="correct horse battery staple")

SYNC = ("ours", "ours-zlib", "stream-zip", "zipstream-ng", "zipfile")
SMALL = (*SYNC, "floor")
BOTH = ("ours", "ours-async", "stream-zip", "stream-zip-async")
CSV = (
    "ours",
    "ours-zlib",
    "ours-workers",
    "ours-async",
    "ours-django",
    "ours-django-zlib",
    "ours-django-workers",
    "stream-zip",
    "stream-zip-async",
    "zipstream-ng",
    "zipfile",
)


def _small(count: int, size: int, samples: Samples) -> list[File]:
    return jobs.small(count, size)


def _noise(size: int, samples: Samples) -> list[File]:
    return jobs.noise(size)


def _zeros(samples: Samples) -> list[File]:
    return jobs.zeros(8 * GIB)


_TINY = partial(_small, 20_000, 300)
_KIB = partial(_small, 20_000, 1024)
_GIB = partial(_noise, GIB)

STREAMED = (
    Streaming("small-deflated", "20,000 of 300 B, deflated, level 9", _TINY, DEFLATED_9, SMALL),
    Streaming(
        "small-stored",
        "20,000 of 300 B, stored, CRC known, members made while it runs",
        _TINY,
        STORED,
        SMALL,
        made_ahead=False,
    ),
    Streaming(
        "small-stored-ahead",
        "20,000 of 300 B, stored, CRC known, members made before",
        _TINY,
        STORED,
        SMALL,
    ),
    Streaming("async-small-deflated", "20,000 of 1 KiB, deflated", _KIB, DEFLATED_9, BOTH),
    Streaming("async-small-stored", "20,000 of 1 KiB, stored, CRC known", _KIB, STORED, BOTH),
    Streaming(
        "large-stored",
        "1 GiB stored, CRC known, in 64 KiB chunks",
        _GIB,
        STORED,
        (*SYNC, "ours-async", "stream-zip-async"),
    ),
    Streaming(
        "large-no-crc",
        "1 GiB not compressed, CRC not known",
        _GIB,
        STORED_NO_CRC_32,
        ("ours", "ours-zlib", "ours-async", "zipstream-ng", "zipfile"),
    ),
    Streaming("csv", "64 MiB CSV text, deflated by defaults", jobs.payments, DEFLATED, CSV),
    Streaming(
        "csv-repetitive",
        "64 MiB CSV text that repeats itself, deflated by defaults",
        jobs.orders,
        DEFLATED,
        ("ours", "ours-django", "ours-django-zlib", "stream-zip", "zipstream-ng", "zipfile"),
    ),
    Streaming(
        "incompressible",
        "64 MiB incompressible .jpg, default choices",
        jobs.photo,
        DEFAULT,
        ("ours-django", "ours-django-zlib", "stream-zip", "zipstream-ng", "zipfile"),
    ),
    Streaming(
        "aes-large",
        "AES, 64 MiB stored, CRC known",
        partial(_noise, 64 * MIB),
        AES_STORED,
        BOTH,
    ),
    Streaming(
        "aes-small",
        "AES, 1,000 of 1 KiB, deflated",
        partial(_small, 1000, 1024),
        AES_DEFLATED,
        ("ours", "ours-workers", "ours-async", "stream-zip", "stream-zip-async"),
    ),
    Streaming(
        "members-memory",
        "200,000 empty members, held by nobody else",
        lambda samples: jobs.empty(200_000),
        STORED_AT_ONCE,
        ("ours", "stream-zip", "zipstream-ng", "zipfile"),
        made_ahead=False,
        is_traced=True,
    ),
    Planning(
        "plan",
        "the exact length of 100,000 stored members",
        lambda samples: (),
        STORED,
        ("ours", "zipstream-ng"),
    ),
)

ZEROS = tuple(
    Streaming(
        f"zeros-{name}",
        f"8 GiB of zeros, {title}",
        _zeros,
        how,
        ("ours", "ours-async"),
        group="zeros",
        rounds_at_most=1,
    )
    for name, title, how in (
        ("deflated", "deflated", DEFLATED),
        ("stored", "stored, CRC known", STORED),
        ("aes-deflated", "deflated, AES", AES_DEFLATED),
        ("aes-stored", "stored, CRC known, AES", AES_STORED),
    )
)

_ALL: tuple[Workload, ...] = (
    *STREAMED,
    *SERVED,
    *FROM_ROWS,
    *OBJECTS,
    *EXPORTED,
    *REQUESTED,
    *ZEROS,
)
WORKLOADS = {job.name: job for job in _ALL}
