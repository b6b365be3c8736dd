"""The example project on S3: on one that its command starts, and on one that was there before."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest

from tests.storages import servers
from tests.support import clients, example
from tests.support.example import MANAGE, SERVERS, Row, Site, environment, serving, unzipped
from tests.support.network import eventually, listens

# What its users may have set for other things. Nothing listens at the discard port.
ELSEWHERE = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "of something else",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "HTTP_PROXY": "http://127.0.0.1:9",
}

DATABASE = "library-s3-started-by-demo.sqlite3"


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    servers.require_packages("storages", "boto3", "moto", "flask", "flask_cors")
    servers.require(servers.program("curl"), "curl")
    servers.require(servers.program("unzip"), "unzip")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The same samples from files: what has to arrive of each folder, as SHA-256."""
    data = tmp_path_factory.mktemp("files")
    example.run_demo(environment(data))
    contents: dict[str, dict[str, str]] = {}
    for row in example.rows(data / "library.sqlite3"):
        folder = contents.setdefault(row.slug, {})
        name = f"{row.folder}/{row.name}"
        if name in folder:
            name = name.replace(".pdf", " (1).pdf")
        folder[name] = sha256((data / "media" / row.path).read_bytes()).hexdigest()
    return contents


@contextmanager
def demo(data: Path, **variables: str) -> Iterator[Site]:
    """What `manage.py demo` serves from an S3 that it starts."""
    command = [MANAGE, "demo", "--small", "127.0.0.1:{port}"]
    log = data / "demo.log"
    with serving(command, environment(data) | variables | {"DEMO_STORAGE": "s3"}, log) as site:
        yield site


def variables_in(site: Site) -> dict[str, str]:
    """What the command has said that others need."""
    said = re.search(r"others find them with: (.*)", site.log.read_text())
    assert said is not None
    return dict(word.split("=", 1) for word in said[1].split())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with demo(tmp_path_factory.mktemp("library"), **ELSEWHERE) as site:
        yield site
        assert "Traceback" not in site.log.read_text()


@pytest.fixture(scope="module", params=["demo", *SERVERS])
def site(request: pytest.FixtureRequest, library: Site) -> Iterator[Site]:
    """The command's own server, and others beside it."""
    if request.param == "demo":
        yield library
        return
    if request.param == "uvicorn":
        servers.require_packages("uvicorn")
    data = library.log.parent
    variables = environment(data) | variables_in(library)
    with serving(SERVERS[request.param], variables, data / f"{request.param}.log") as site:
        yield site
        assert "Traceback" not in site.log.read_text()


def rows(library: Site) -> list[Row]:
    return example.rows(library.log.parent / DATABASE)


def curl(url: str, path: Path, *options: str) -> str:
    """Download; returns the status."""
    command = ["curl", "-sS", "--fail", "-g", "-o", str(path), "-w", "%{http_code}", *options, url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def hashes(path: Path) -> dict[str, str]:
    """What is in a ZIP, after unzip has found it good."""
    subprocess.run(["unzip", "-tq", str(path)], check=True, stdout=subprocess.DEVNULL)
    members = unzipped(path.read_bytes())
    return {name: sha256(content).hexdigest() for name, content in members.items()}


def test_the_page_says_where_the_files_are(site: Site, library: Site, tmp_path: Path) -> None:
    curl(f"{site.url}/", tmp_path / "page")
    endpoint = variables_in(library)["AWS_ENDPOINT_URL_S3"]
    page = (tmp_path / "page").read_text()
    assert f"The files come from the bucket started-by-demo on {endpoint}." in page


def test_no_file_is_in_the_folder(library: Site) -> None:
    assert not (library.log.parent / "media").exists()


@pytest.mark.parametrize("slug", ["annual-reports", "measurements", "photographs"])
def test_a_folder_is_downloaded(
    site: Site, originals: dict[str, dict[str, str]], tmp_path: Path, slug: str
) -> None:
    curl(f"{site.url}/folders/{slug}/download/", tmp_path / "folder.zip")
    assert hashes(tmp_path / "folder.zip") == originals[slug]


def test_a_selection_is_downloaded(
    site: Site, library: Site, originals: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    slugs = ("recordings", "field-notes")
    ids = [row.id for row in rows(library) if row.slug in slugs]
    query = urlencode({"ids": ids}, doseq=True)
    curl(f"{site.url}/download/?{query}", tmp_path / "selection.zip")
    expected = originals["recordings"] | originals["field-notes"]
    assert hashes(tmp_path / "selection.zip") == expected


def test_a_download_that_broke_off_is_resumed(
    site: Site, originals: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    url = f"{site.url}/folders/photographs/download/"
    curl(url, tmp_path / "whole.zip")
    whole = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "part.zip").write_bytes(whole[: len(whole) // 3])
    assert curl(url, tmp_path / "part.zip", "-C", "-") == "206"
    assert (tmp_path / "part.zip").read_bytes() == whole
    assert hashes(tmp_path / "part.zip") == originals["photographs"]


class Admin:
    """A browser in which the admin has logged in."""

    def __init__(self, site: Site, library: Site) -> None:
        self._url = site.url
        self._cookies = CookieJar()
        self._browser = build_opener(HTTPCookieProcessor(self._cookies))
        password = re.search(r"password (\S+)", library.log.read_text())
        assert password is not None
        self.get("/admin/login/").close()
        self.post("/admin/login/", username="admin", password=password[1], next="/admin/").close()

    def get(self, address: str, **headers: str) -> HTTPResponse:
        request = Request(urljoin(self._url, address), headers=headers)
        return self._browser.open(request, timeout=20)

    def post(self, address: str, **data: object) -> HTTPResponse:
        tokens = {cookie.name: cookie.value for cookie in self._cookies}
        data["csrfmiddlewaretoken"] = tokens["csrftoken"]
        body = urlencode(data, doseq=True).encode()
        return self._browser.open(urljoin(self._url, address), body, timeout=20)


def test_the_admin_s_action_downloads(
    site: Site, library: Site, originals: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    admin = Admin(site, library)
    chosen = [row.id for row in rows(library) if row.slug == "photographs"]
    address = "/admin/library/document/"
    with admin.post(address, action="download_as_zip", _selected_action=chosen) as response:
        (tmp_path / "admin.zip").write_bytes(response.read())
    assert hashes(tmp_path / "admin.zip") == originals["photographs"]


def test_a_folder_is_prepared_in_the_background(
    library: Site, originals: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    admin = Admin(library, library)
    with admin.post("/folders/photographs/export/") as response:
        status = response.url

    def state() -> str:
        with admin.get(status, Accept="application/json") as response:
            return json.load(response)["state"]

    assert eventually(lambda: state() == "ready", seconds=30)
    with admin.get(f"{status}file/") as response:
        # From the storage itself, by a link that it has signed.
        endpoint = variables_in(library)["AWS_ENDPOINT_URL_S3"]
        assert response.url.startswith(f"{endpoint}/started-by-demo/exports/")
        (tmp_path / "folder.zip").write_bytes(response.read())
    assert hashes(tmp_path / "folder.zip") == originals["photographs"]
    curl(f"{library.url}/folders/photographs/download/", tmp_path / "streamed.zip")
    assert (tmp_path / "folder.zip").read_bytes() == (tmp_path / "streamed.zip").read_bytes()
    assert not (library.log.parent / "exports").exists()


def test_each_run_begins_with_what_it_has_and_its_s3_ends_with_it(tmp_path: Path) -> None:
    # Python heeds no interruption where its parent doesn't.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with demo(tmp_path) as site:
                assert "Photographs: 24 files" in site.log.read_text()
                assert "all there already" not in site.log.read_text()
                curl(f"{site.url}/folders/photographs/download/", tmp_path / "folder.zip")
                admin = Admin(site, site)
                with admin.get("/exports/") as response:
                    assert "There are none yet." in response.read().decode()
                admin.post("/folders/photographs/export/").close()
                port = urlsplit(variables_in(site)["AWS_ENDPOINT_URL_S3"]).port
                assert port is not None
                assert listens(port)
                os.kill(site.process.pid, number)
                site.process.wait(10)
                assert not listens(port), number
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_s3_that_is_there_is_filled_once(tmp_path: Path) -> None:
    with servers.moto(tmp_path) as url:
        variables = environment(tmp_path) | {
            "DEMO_STORAGE": "s3",
            "DEMO_S3_BUCKET": "station",
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        refused = example.manage("demo", environment=variables)
        assert refused.returncode == 1
        assert "The bucket station can't be used" in refused.stderr
        assert "Traceback" not in refused.stderr
        with clients.s3(url, "station", access_key="testing") as storage:
            storage.connection.create_bucket(Bucket="station")
            said = example.run_demo(variables)
            assert f"The files go to the bucket station on {url}" in said
            assert "Photographs: 24 files" in said
            objects = {each.key: each.e_tag for each in storage.bucket.objects.all()}
            assert len(objects) == 63
            assert example.run_demo(variables).count("all there already") == 5
            assert objects == {each.key: each.e_tag for each in storage.bucket.objects.all()}
