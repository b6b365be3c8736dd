"""Every block of code of README and docs is run: page by page, from the first one to the last."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import sites
from django.core.management import call_command, get_commands, load_command_class
from django.template import engines
from django.test import override_settings
from django.test.utils import isolate_apps
from django.urls import path

from django_stream_zip.exports import registry
from tests.support.docs import DOCS, PAGES, ROOT, Photo, all_blocks, blocks, run

# A whole site, which is a project of its own below.
SITE = DOCS / "quickstart.rst"


def stand_in(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(names)
    return module


# Packages of which the pages show a line, and that no test needs otherwise.
PACKAGES = {
    "boto3": stand_in("boto3"),
    "django_rq": stand_in("django_rq"),
    "django.tasks": stand_in("django.tasks", task=lambda function: function),
}

# What the pages take for granted: names that a site has.
GIVEN = {
    "Photo": Photo,
    "INSTALLED_APPS": [],
    "STORAGES": {},
    "BASE_DIR": ROOT,
    "members": [],
}


def with_blocks(language: str) -> Any:
    pages = [page for page in PAGES if page != SITE and blocks(page, language)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


@with_blocks("python")
@isolate_apps("tests")
def test_the_python_blocks_of_a_page_run(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sites, "site", admin.AdminSite())
    monkeypatch.setattr(registry, "_recipes", {})
    for name, module in PACKAGES.items():
        monkeypatch.setitem(sys.modules, name, module)
    names = dict(GIVEN)
    for code in blocks(page, "python"):
        if "photos.models" not in code:  # the quick start's site has these
            names.update(run(code, __name__, **names))


# Templates.

PAGES_OF_VIEWS = stand_in(
    "pages_of_views",
    urlpatterns=[
        path("albums/<int:album>/download/", lambda request: None, name="photos-download")
    ],
)


@with_blocks("html+django")
def test_the_templates_of_a_page_are_rendered(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PAGES_OF_VIEWS.__name__, PAGES_OF_VIEWS)
    context = {
        "album": {"pk": 7},
        "archive": {"members": 2, "length": 2048, "reasons": [{"text": "It is encrypted."}]},
        "photos": [{"pk": 3, "title": "Dawn"}],
    }
    with override_settings(ROOT_URLCONF=PAGES_OF_VIEWS.__name__):
        for code in blocks(page, "html+django"):
            html = engines["django"].from_string(code).render(context)
            assert re.search("</(form|a|button)>", html)


# Commands.

# Programs that a shell finds, or that the pages have installed.
PROGRAMS = set(". django-admin mkdir pip python python3 ssh tox".split())


def commands_in(code: str) -> list[list[str]]:
    lines = code.replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in re.split(r" && | \| ", line)]
    return [shlex.split(part, comments=True) for part in parts if part.strip()]


@with_blocks("sh")
def test_the_commands_of_a_page_are_there(page: Path) -> None:
    for code in blocks(page, "sh"):
        for words in commands_in(code):
            check_command(words)


def check_command(words: list[str]) -> None:
    while re.fullmatch(r"[A-Z_0-9]+=\S*", words[0]):  # variables that are set for it
        words = words[1:]
    program = Path(words[0]).name
    assert program in PROGRAMS | {"cd"}, words
    if "manage.py" in Path(words[1]).name if len(words) > 1 else False:
        name, arguments = words[2], words[3:]
        app = {**get_commands(), "demo": "example_project.library"}[name]
        if str(app).startswith("django_stream_zip"):
            load_command_class(app, name).create_parser("manage.py", name).parse_args(arguments)
    if program == "pip":
        for extra in re.findall(r"django_stream_zip\[(\w+)\]", " ".join(words)):
            assert extra in EXTRAS


EXTRAS = set(
    re.findall(
        r"^(\w+) = ",
        (ROOT / "pyproject.toml")
        .read_text()
        .partition("optional-dependencies]")[2]
        .partition("\n[")[0],
        re.MULTILINE,
    )
)


# The quick start, as somebody follows it.


# In one process, as each one takes half a second to begin.
PREPARE_AND_TEST = """
import os
import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
call_command("makemigrations", "photos", verbosity=0)
call_command("test", "photos")
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    call_command("startproject", "mysite", str(tmp_path))
    (tmp_path / "photos").mkdir()
    call_command("startapp", "photos", str(tmp_path / "photos"))
    for block in [*all_blocks(SITE), *all_blocks(DOCS / "testing.rst")]:
        name, _, addition = block.caption.partition(", ")
        if name and addition != "at its end":  # the settings of S3
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            before = file.read_text() if name == "mysite/settings.py" else ""
            file.write_text(before + block.code)
    return tmp_path


def test_the_site_of_the_quick_start_passes_the_tests_of_the_docs(site: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", PREPARE_AND_TEST]
    done = subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True)
    assert (done.returncode, "Ran 2 tests" in done.stderr) == (0, True), done.stderr


def test_the_settings_of_the_quick_start_for_s3_are_settings() -> None:
    [code] = [b.code for b in all_blocks(SITE) if b.caption.endswith("at its end")]
    backend = run(code)["STORAGES"]["default"]["BACKEND"]
    assert backend == "storages.backends.s3.S3Storage"
