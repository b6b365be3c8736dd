"""Which storage keeps the documents' files, as chosen by the environment variable `DEMO_STORAGE`.

`files`, or nothing, is a folder on this machine. `s3` is the bucket `DEMO_S3_BUCKET`, found by
AWS's own variables; without one, a bucket on a local S3 that `manage.py demo` starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

# A name that no bucket in use has: the rows for this one are deleted at each start.
LOCAL_BUCKET = "started-by-demo"
S3_BUCKET = os.environ.get("DEMO_S3_BUCKET") or LOCAL_BUCKET


@dataclass(frozen=True)
class Choice:
    """A storage to choose."""

    # For the setting STORAGES.
    setting: dict[str, Any]
    # The same for what is prepared in the background, which knows the folder of the demo's data.
    exports: Callable[[Path], dict[str, Any]]
    # One for each storage, because rows and files belong together.
    database: str
    # For people. The address of a local S3 isn't known before it runs.
    place: Callable[[], str]


def s3_endpoint() -> str | None:
    """Return the URL of S3 from the environment, None for Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


FILES = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
S3 = {
    "BACKEND": "storages.backends.s3.S3Storage",
    # boto3 takes URL and credentials from the environment.
    "OPTIONS": {
        "bucket_name": S3_BUCKET,
        # Each file's CRC-32 is kept with it, see docs/storages.rst.
        "object_parameters": {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"},
        # Two documents may have the same name.
        "file_overwrite": False,
        # Servers other than Amazon's seldom have a host name for each bucket.
        "addressing_style": "path",
        "signature_version": "s3v4",
    },
}

CHOICES = {
    "files": Choice(
        setting=FILES,
        exports=lambda data: FILES | {"OPTIONS": {"location": data / "exports"}},
        database="library.sqlite3",
        place=lambda: "a folder of this machine",
    ),
    "s3": Choice(
        setting=S3,
        # In the same bucket: without a signature, nobody reads from it anyway.
        exports=lambda data: S3 | {"OPTIONS": {**S3["OPTIONS"], "location": "exports"}},
        database=f"library-s3-{quote(S3_BUCKET, safe='')}.sqlite3",
        place=lambda: f"the bucket {S3_BUCKET} on {s3_endpoint() or 'Amazon S3'}",
    ),
}


def chosen() -> str:
    """Return the key of the storage that the environment chooses."""
    choice = os.environ.get("DEMO_STORAGE") or "files"
    if choice not in CHOICES:
        known = " or ".join(map(repr, CHOICES))
        raise ImproperlyConfigured(f"DEMO_STORAGE is {choice!r}; it can be {known}.")
    return choice


def is_to_be_started(choice: str) -> bool:
    """Return whether the command `demo` starts the storage, because none is named."""
    if choice != "s3" or os.environ.get("DEMO_S3_BUCKET"):
        return False
    if s3_endpoint():
        raise ImproperlyConfigured(
            f"DEMO_STORAGE is 's3', and that is on {s3_endpoint()}; set DEMO_S3_BUCKET too."
        )
    if sys.argv[1:2] != ["demo"]:
        # Anything else would query Amazon for a bucket of a stranger's.
        raise ImproperlyConfigured(
            "DEMO_STORAGE is 's3', but nothing says where that is. `manage.py demo` starts an S3,"
            " and prints what other processes need to use it too. For another one, set"
            " DEMO_S3_BUCKET, and AWS_ENDPOINT_URL_S3 if it isn't Amazon's."
        )
    return True
