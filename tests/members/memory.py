"""A program: makes so many rows, sends their archive by the lazy form, tells what memory it took.

A process of its own has no memory left over from other tests, which would hide what it takes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from tests import settings as test_settings

_INSERT = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
    INSERT INTO tests_document (title, file) SELECT '', 'docs/' || n || '.jpg' FROM numbers
"""


def main(rows: int) -> None:
    """Print what was measured, as JSON."""
    values = {name: value for name, value in vars(test_settings).items() if name.isupper()}
    values["STORAGES"] = {
        **values["STORAGES"],
        "default": {"BACKEND": "tests.support.counting.SmallStorage"},
    }
    settings.configure(**values)
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [rows])
    send(rows=100)  # what is imported and cached at the first time isn't the download's
    # From here on the peak is counted anew (Linux, proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    idle = memory("VmRSS")
    told = send(rows)
    print(json.dumps({**told, "taken": memory("VmHWM") - idle}))


def send(rows: int) -> dict[str, Any]:
    """Send an archive of so many rows; tell how long it is, and its central directory."""
    from django.test import RequestFactory

    from django_stream_zip.members import lazy_queryset_members
    from django_stream_zip.response import zip_response
    from tests.models import Document

    members = lazy_queryset_members(Document.objects.filter(pk__lte=rows))
    response: Any = zip_response(RequestFactory().get("/"), members)
    length, end = 0, b""
    for block in response.streaming_content:
        length += len(block)
        end = (end + block)[-200:]
    # The size of the directory, in the Zip64 end record or the plain one.
    zip64, plain = end.find(b"PK\x06\x06"), end.rfind(b"PK\x05\x06")
    at, width = (zip64 + 40, 8) if zip64 >= 0 else (plain + 12, 4)
    return {"length": length, "directory": int.from_bytes(end[at : at + width], "little")}


def memory(name: str) -> int:
    """Return a figure of this process's memory, in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))
