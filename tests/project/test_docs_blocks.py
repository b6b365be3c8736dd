"""Every block of code of README and docs is run: page by page, from the first one to the last.

Files of a whole site have captions: `test_guide` makes the site.
"""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import sites
from django.core.management import get_commands, load_command_class
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import RequestFactory, override_settings
from django.test.utils import isolate_apps
from django.urls import URLPattern, URLResolver, include, path

from django_stream_zip.exports import State, ZipExport, registry
from tests.support.docs import PAGES, ROOT, Photo, blocks, run


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
    pages = [page for page in PAGES if blocks(page, language)]
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
        names.update(run(code, __name__, **names))


# Templates.


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def urls_for(code: str) -> tuple[URLPattern | URLResolver, ...]:
    """Return a URL for each that a template names, with the arguments that it has there."""
    named = re.findall(r"""% (?:url|zip_form) ['"]([\w-]+)['"]((?: \w+=\S+)*)""", code)
    arguments = {name: re.findall(r" (\w+)=", words) for name, words in named}
    return (
        path("exports/", include("django_stream_zip.exports.urls")),
        *(
            path("/".join([name, *(f"<{word}>" for word in arguments[name])]), view, name=name)
            for name in arguments
        ),
    )


@with_blocks("html+django")
def test_the_templates_of_a_page_are_rendered(page: Path) -> None:
    photos = [Photo(pk=3, title="Dawn"), Photo(pk=5, title="Noon")]
    context = {
        "album": {"pk": 7},
        "albums": [{"name": "Summer", "photos": photos}],
        "archive": {"members": 2, "length": 2048, "reasons": [{"text": "It is encrypted."}]},
        "exports": [ZipExport(filename="dawn.zip", state=State.BUILDING)],
        "photos": photos,
    }
    for code in blocks(page, "html+django"):
        with override_settings(ROOT_URLCONF=urls_for(code)):
            html = engines["django"].from_string(code).render(context, RequestFactory().get("/"))
        assert re.search("Dawn|It is encrypted|share-album/7|being built", html)


# Commands.

# What a shell finds, or a page has installed before.
PROGRAMS = set(". cd django-admin mkdir pip python python3 ssh tox".split())
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def commands_in(code: str) -> Iterator[list[str]]:
    """Yield commands as lists of words, without the variables that are set for them."""
    for command in re.split(r"\n| && | \| ", code):
        words = shlex.split(command, comments=True)
        while words and re.fullmatch(r"[A-Z_]\w*=.*", words[0]):
            del words[0]
        if words:
            yield words


@with_blocks("sh")
def test_the_commands_of_a_page_are_there(page: Path) -> None:
    for code in blocks(page, "sh"):
        for words in commands_in(code):
            assert {words[0], Path(words[0]).name} & PROGRAMS
            extras = re.findall(r"django_stream_zip\[(\w+)\]", " ".join(words))
            assert set(extras) <= EXTRAS.keys()
            if len(words) > 2 and words[1] == "manage.py":
                check_arguments(*words[2:])


def check_arguments(command: str, *arguments: str) -> None:
    app = get_commands()[command]
    if str(app).startswith("django_stream_zip"):
        parser = load_command_class(app, command).create_parser("manage.py", command)
        parser.parse_args(arguments)
