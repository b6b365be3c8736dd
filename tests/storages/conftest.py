"""Servers that the tests of storages share, each started once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.storages import servers
from tests.support import clients

BUCKET = "bucket"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def moto(folder: Path) -> Iterator[Any]:
    with servers.moto(folder) as url, clients.s3(url, BUCKET, access_key="testing") as storage:
        storage.connection.create_bucket(Bucket=BUCKET)
        yield storage


@pytest.fixture(scope="session")
def localstack(folder: Path) -> Iterator[Any]:
    path = folder / "localstack"
    path.mkdir()
    with servers.localstack(path) as url, clients.s3(url, BUCKET, access_key="test") as storage:
        storage.connection.create_bucket(Bucket=BUCKET)
        yield storage


@pytest.fixture(scope="session")
def swift(folder: Path) -> Iterator[Any]:
    path = folder / "swift"
    path.mkdir()
    with servers.swift(path) as url, clients.s3(url, BUCKET) as storage:
        storage.connection.create_bucket(Bucket=BUCKET)
        yield storage


@pytest.fixture(scope="session")
def google(folder: Path) -> Iterator[Any]:
    with servers.google(folder, BUCKET) as url, clients.google(url, BUCKET) as storage:
        yield storage


@pytest.fixture(scope="session")
def azure(folder: Path) -> Iterator[Any]:
    with servers.azurite(folder) as url, clients.azure(url, BUCKET) as storage:
        storage.service_client.create_container(BUCKET)
        yield storage


@pytest.fixture(scope="session")
def sshd(folder: Path) -> Iterator[dict[str, Any]]:
    servers.require_packages("storages", "paramiko")
    path = folder / "ssh"
    path.mkdir()
    with servers.openssh(path) as options:
        yield options


@pytest.fixture(scope="session")
def sftp(sshd: dict[str, Any]) -> Iterator[Any]:
    from storages.backends.sftpstorage import SFTPStorage

    with closing(SFTPStorage(**sshd)) as storage:
        yield storage
