"""Real servers, started on free ports of this machine and ended by their own handles."""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.network import end, free_port, listens


def require(is_there: object, what: str, *, in_ci: bool = True) -> None:
    """Skip the test, or fail it where CI ought to have installed what is missing."""
    if is_there:
        return
    if in_ci and os.environ.get("CI"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


def require_packages(*names: str, in_ci: bool = True) -> None:
    """Do so unless all Python packages are there."""
    for name in names:
        require(_is_installed(name), name, in_ci=in_ci)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # nor is the package that it is in
        return False


def program(name: str) -> str | None:
    """Find a program, also where Debian keeps those for root and where this Python has its own."""
    places = [os.environ.get("PATH", ""), str(Path(sys.executable).parent), "/usr/sbin"]
    return shutil.which(name, path=os.pathsep.join(places))


@contextmanager
def running(
    command: Sequence[str], port: int, log: Path, *, answers: Callable[[], bool] | None = None
) -> Iterator[None]:
    """Run a server until the block ends."""
    is_ready = answers or (lambda: listens(port))
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
        try:
            deadline = time.monotonic() + 120
            while not is_ready():
                assert process.poll() is None, f"{command} ended: {log.read_text()}"
                assert time.monotonic() < deadline, f"{command} hangs: {log.read_text()}"
                time.sleep(0.05)
            yield
        finally:
            end(process)


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """An imitation of S3 that many projects test with."""
    require_packages("moto", "flask")
    port = free_port()
    command = [str(program("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, folder / "moto.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Microsoft's own imitation of Azure Blob Storage."""
    azurite = program("azurite-blob")
    require(azurite, "azurite (npm)")
    port = free_port()
    command = [
        *(str(azurite), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--location", str(folder), "--skipApiVersionCheck", "--disableTelemetry", "--silent"),
    ]
    with running(command, port, folder / "azurite.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def google(folder: Path, bucket: str) -> Iterator[str]:
    """An imitation of Google Cloud Storage. It knows neither conditions nor generations."""
    require(program("gcp-storage-emulator"), "gcp-storage-emulator")
    port = free_port()
    command = [
        *(str(program("gcp-storage-emulator")), "start", "--host=127.0.0.1", f"--port={port}"),
        *("--in-memory", f"--default-bucket={bucket}"),
    ]
    with running(command, port, folder / "google.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def openssh(folder: Path) -> Iterator[dict[str, Any]]:
    """OpenSSH's server, for whoever runs the tests. Give the storage's options."""
    sshd = program("sshd")
    require(sshd, "OpenSSH's server (Debian: openssh-server)")
    port = free_port()
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(keygen, check=True, stdin=subprocess.DEVNULL)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # it doesn't start without
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    files = folder / "files"
    files.mkdir()
    with running([str(sshd), "-D", "-e", "-f", str(config)], port, folder / "sshd.log"):
        yield {
            "host": "127.0.0.1",
            "root_path": f"{files}/",
            "known_host_file": str(folder / "known_hosts"),
            "params": {
                "port": port,
                "username": getpass.getuser(),
                "key_filename": str(folder / "user"),
                "allow_agent": False,
                "look_for_keys": False,
            },
        }


@contextmanager
def swift(folder: Path) -> Iterator[str]:
    """OpenStack's object store with its S3 API: a real one, of four servers."""
    require_packages("swift", "keystonemiddleware")
    from tests.storages import swift as setup

    ports = [free_port() for _ in range(4)]
    setup.write(folder, ports)
    subprocess.run([sys.executable, str(folder / "rings.py")], check=True, stdin=subprocess.DEVNULL)
    with ExitStack() as servers:
        for name, port in reversed(list(zip(setup.SERVERS, ports, strict=True))):
            command = [sys.executable, str(folder / "run.py"), name]
            servers.enter_context(running(command, port, folder / f"{name}.log"))
        yield f"http://127.0.0.1:{ports[0]}"


LOCALSTACK = """
# It listens on all addresses, whatever it is told.
from twisted.internet import endpoints

everywhere = endpoints.TCP4ServerEndpoint
endpoints.TCP4ServerEndpoint = lambda reactor, port, **options: everywhere(
    reactor, port, **{**options, "interface": "127.0.0.1"}
)
from localstack.runtime.main import main

main()
"""


@contextmanager
def localstack(folder: Path) -> Iterator[str]:
    """An imitation of AWS whose checksums are as AWS has them.

    It needs packages that others don't go with, so the Python of an environment of its own.
    """
    python = os.environ.get("LOCALSTACK_PYTHON")
    require(python, "LocalStack (LOCALSTACK_PYTHON says in which environment)", in_ci=False)
    port = free_port()
    environment = {
        "LOCALSTACK_VOLUME_DIR": str(folder),
        "SERVICES": "s3",
        "EAGER_SERVICE_LOADING": "1",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
    }
    program = folder / "localstack_on_loopback.py"
    program.write_text(LOCALSTACK)
    command = ["env", *(f"{name}={value}" for name, value in environment.items())]
    with running([*command, str(python), str(program)], port, folder / "localstack.log"):
        yield f"http://127.0.0.1:{port}"
