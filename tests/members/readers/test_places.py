"""Where a storage keeps its files: what tells two storages of one class apart."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from django_stream_zip.members.readers.places import configured_place
from django_stream_zip.members.readers.table import reader_for
from tests.storages.servers import require_packages

SFTP: dict[str, Any] = {
    "host": "h",
    "root_path": "/r",
    "params": {"port": 22, "username": "me", "password": "secret"},
}


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "i"},
        {"root_path": "/s"},
        {"params": {"port": 23, "username": "me"}},
        {"params": {"port": 22, "username": "you"}},
    ],
    ids=str,
)
def test_sftp_servers_ports_and_users_are_places(changed: dict[str, Any]) -> None:
    require_packages("storages", "paramiko")
    from storages.backends.sftpstorage import SFTPStorage

    place = reader_for(SFTPStorage(**SFTP), "a").place
    assert place == reader_for(SFTPStorage(**SFTP), "b").place
    assert place != reader_for(SFTPStorage(**SFTP | changed), "a").place
    assert "secret" not in str(place)


def test_settings_of_a_storage_are_part_of_its_place() -> None:
    require_packages("storages")
    from storages.backends.ftp import FTPStorage

    def place(url: str) -> str | None:
        with override_settings(FTP_STORAGE_LOCATION=url):
            return configured_place(FTPStorage(), "a")

    assert place("ftp://a:secret@h:21/") == place("ftp://a:secret@h:21/")
    assert place("ftp://a:secret@h:21/") != place("ftp://b:secret@h:21/")
    assert "secret" not in str(place("ftp://a:secret@h:21/"))


def test_buckets_of_one_storage_are_places() -> None:
    require_packages("storages", "boto3")
    from storages.backends.s3 import S3Storage

    def place(bucket: str) -> str | None:
        storage = S3Storage(bucket_name=bucket, endpoint_url="http://127.0.0.1:9")
        return reader_for(storage, "a").place

    assert place("a") == place("a") != place("b")
