"""What a release says of itself: addresses that lead somewhere, lists that are complete."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
URLS = PROJECT["urls"]
LATEST = f"{URLS['Documentation']}en/latest/"

# The pages that are read away from the repository: by PyPI, by its host, by the documentation.
PAGES = ["README.rst", "CHANGELOG.rst", "SECURITY.rst", "CONTRIBUTING.rst"]
TEXTS = {page: (ROOT / page).read_text() for page in PAGES}

# A target's address, that of a link in a sentence, that of a picture.
LINK = re.compile(r"^\.\. _[^:]+: (\S+)|<([^<>`\s]+)>`_|:: (\S+\.png)$", re.MULTILINE)


def links(text: str) -> set[str]:
    return {"".join(found) for found in LINK.findall(text)}


ALL_LINKS = {link for text in TEXTS.values() for link in links(text)}


def test_the_links_of_the_readme_are_found() -> None:
    assert {LATEST, URLS["Source"]} <= links(TEXTS["README.rst"])


@pytest.mark.parametrize("page", PAGES)
def test_all_links_are_absolute(page: str) -> None:
    assert [link for link in links(TEXTS[page]) if not link.startswith("https://")] == []


@pytest.mark.parametrize("page", ["README.rst", "SECURITY.rst"])
def test_no_file_of_the_docs_is_named_where_none_is(page: str) -> None:
    assert re.findall(r"docs/\w+\.rst", TEXTS[page]) == []


@pytest.mark.parametrize("link", sorted(link for link in ALL_LINKS if "readthedocs" in link))
def test_each_link_into_the_docs_leads_to_a_page(link: str) -> None:
    assert link.startswith(LATEST)
    page = link.removeprefix(LATEST).partition("#")[0] or "index.html"
    assert (ROOT / "docs" / page).with_suffix(".rst").is_file()


@pytest.mark.parametrize("link", sorted(link for link in ALL_LINKS if "github" in link))
def test_each_link_into_the_repository_leads_to_what_it_has(link: str) -> None:
    source = URLS["Source"]
    raw = source.replace("https://github.com/", "https://raw.githubusercontent.com/")
    assert link.startswith((source, raw))
    file = re.sub(rf"^({source}/blob|{raw})/main/", "", link)
    assert "://" in file or (ROOT / file).is_file()


def test_the_list_of_what_is_installed_has_every_extra() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    [extras] = re.findall(r"install \.\[([\w,]+)\]", tox["testenv:sbom"]["commands"])
    assert sorted(extras.split(",")) == sorted(PROJECT["optional-dependencies"])
