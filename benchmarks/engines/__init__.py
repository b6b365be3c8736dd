"""The engines, by the names that tables have. `unaccelerated` ones run without isal and zlib-ng."""

from __future__ import annotations

import sys

from benchmarks.engines.engine import Engine
from benchmarks.engines.floor import Floor
from benchmarks.engines.ours import Ours, OursAsync
from benchmarks.engines.ours_django import OursDjango
from benchmarks.engines.stdlib import Zipfile
from benchmarks.engines.stream_zip import StreamZip, StreamZipAsync
from benchmarks.engines.zipstream_ng import ZipstreamNg

ENGINES: dict[str, Engine] = {
    "ours": Ours(),
    "ours-zlib": Ours(),
    "ours-workers": Ours(workers=2),
    "ours-async": OursAsync(),
    "ours-django": OursDjango(),
    "ours-django-zlib": OursDjango(),
    "ours-django-workers": OursDjango(WORKERS=2),
    "stream-zip": StreamZip(),
    "stream-zip-async": StreamZipAsync(),
    "zipstream-ng": ZipstreamNg(),
    "zipfile": Zipfile(),
    "floor": Floor(),
}


def engine(name: str) -> Engine:
    """Return an engine, in a process that runs no other."""
    if name.endswith("-zlib"):
        # What can't be imported isn't found by whoever looks for accelerators.
        sys.modules.update(dict.fromkeys(("isal", "zlib_ng")))  # type: ignore[arg-type]
    return ENGINES[name]
