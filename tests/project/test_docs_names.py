"""The pages name nothing that isn't there, and the reference has everything that is public."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import tomllib
import zlib
from collections.abc import Iterator
from functools import cache
from pkgutil import resolve_name

import pytest
from django.conf import global_settings
from django.core.management import BaseCommand, get_commands, load_command_class

from django_stream_zip import conf
from django_stream_zip.delivery.info import _TEXTS
from django_stream_zip.templatetags import zip_download
from tests.project.test_troubleshooting import EXCEPTIONS
from tests.support.docs import DOCS, PAGES, REFERENCE, ROOT, all_blocks, without_blocks

PACKAGE = ROOT / "django_stream_zip"
MODULES = (
    "django_stream_zip",
    "django_stream_zip.admin",
    "django_stream_zip.exports",
    "django_stream_zip.exports.admin",
    "django_stream_zip.members",
    "django_stream_zip.models",
    "django_stream_zip.response",
    "django_stream_zip.rest_framework",
    "django_stream_zip.saving",
    "django_stream_zip.signals",
    "django_stream_zip.storages",
    "django_stream_zip.views",
)
COMMANDS = ("zip_exports", "zip_metadata", "zip_save")

PROSE = "\n".join(map(without_blocks, PAGES))
ENTRIES = "\n".join(page.read_text() for page in [*REFERENCE, DOCS / "settings.rst"])


# What is there.

CHECKS = {
    found
    for path in PACKAGE.rglob("*.py")
    for found in re.findall(r'id="django_stream_zip\.([EW]\d+)"', path.read_text())
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"].keys()

# Names of other programs, packages and settings, which no inventory has.
FOREIGN = set(
    # archive programs, and what reads archives
    "7z aria2c bsdtar unzip ZipInputStream strict_timestamps "
    # S3, servers, databases, task engines
    "AWS_ENDPOINT_URL_S3 UploadPartCopy internal proxy_read_timeout ATOMIC_REQUESTS task_acks_late "
    # what one migrates from
    "add_path footer get_archive_name get_files info_list zipfile_name "
    # HTTP, Django's templates and backends, the example project
    "ETag __in async indeterminate signed_cookies DEMO_S3_BUCKET shop".split()
)
FOREIGN_OPTIONS = set(
    # Django, servers, the benchmark, pip, tox, pytest
    "--database --deploy --graceful-timeout --only --page --timeout --threads "
    "--worker-class".split()
)


def flags(parser: argparse.ArgumentParser) -> set[str]:
    return {text for action in parser._actions for text in action.option_strings}


@cache
def options(command: str) -> set[str]:
    """Return the options of a command of the package, without those that all commands have."""
    app = get_commands()[command]
    parser = load_command_class(app, command).create_parser("manage.py", command)
    return flags(parser) - flags(BaseCommand().create_parser("manage.py", "base"))


@cache
def documented_elsewhere() -> set[str]:
    """Return the names in the inventories of Django and Python, and all their parts."""
    found: set[str] = set()
    for path in (DOCS / "inventories").glob("*.inv"):
        body = path.read_bytes().split(b"\n", 4)[4]
        for line in zlib.decompress(body).decode().splitlines():
            name, kind = line.split(" ", 2)[:2]
            if kind.startswith(("py:", "std:setting", "std:django-admin")):
                found.update(name.split("."))
    return found


@cache
def written() -> set[str]:
    """Return the names that the package, its tests and the blocks of the pages define."""
    found = {*conf.KEYS, *CHECKS, *EXTRAS, *_TEXTS}
    for folder in ("django_stream_zip", "tests", "benchmarks", "example_project"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= {path.stem, path.parent.name, *names_in(path.read_text())}
    for page in PAGES:
        for block in all_blocks(page):
            found |= names_in(block.code) if block.language == "python" else set()
    return found


def names_in(source: str) -> set[str]:
    return {name for node in ast.walk(ast.parse(source)) for name in _names_of(node)}


def _names_of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            yield name
        case ast.arg(name) | ast.keyword(str(name)) | ast.alias(name):
            yield name.rpartition(".")[2]
        case ast.Name(name, ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield name


# From the pages to the package.


def literals(pattern: str) -> set[str]:
    """Return what the pages write ``so``, where the whole of it matches."""
    return {text for text in re.findall("``(.+?)``", PROSE) if re.fullmatch(pattern, text)}


def test_paths_lead_somewhere() -> None:
    paths = {text.partition("(")[0] for text in literals(r"django_stream_zip(\.\w+)+(\(.*\))?")}
    paths -= {f"django_stream_zip.{found}" for found in CHECKS}
    assert len(paths) > 10
    assert all(resolve_name(path) for path in paths)


def test_names_are_there() -> None:
    texts = literals(r"[\w.]+(\(.*\))?") - literals(r".*\.(csv|gz|jpg|py|rst|toml|txt|zip)")
    names = {part for text in texts for part in text.partition("(")[0].split(".")}
    names = {name for name in names if name and not re.fullmatch(r"\d+|\w+_|_\d+|id_ids_\d+", name)}
    assert len(names) > 300
    assert {name for name in names if not hasattr(global_settings, name)} <= (
        written() | documented_elsewhere() | FOREIGN
    )


def test_checks_and_extras_are_there() -> None:
    assert literals(r"[EW]\d{3}") <= CHECKS
    assert set(re.findall(r"django_stream_zip\[(\w+)\]", PROSE)) <= EXTRAS


def test_options_are_there() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PROSE))
    assert named - set().union(*map(options, COMMANDS)) <= FOREIGN_OPTIONS


# From the package to the reference.


def entries(directive: str) -> list[str]:
    """Return what has an entry of this kind, with its path if it has one."""
    return re.findall(rf"^ *\.\. {directive}:: ([^\s(]+)", ENTRIES, re.MULTILINE)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_has_an_entry(module: str) -> None:
    paths = entries("(?:auto)?(?:function|class|exception|data)")
    found = {path.rpartition(".")[2] for path in paths}
    assert set(importlib.import_module(module).__all__) - found == set()


def test_each_exception_has_an_entry() -> None:
    found = {path.rpartition(".")[2] for path in entries("autoexception")}
    assert set(EXCEPTIONS) - found == set()


@pytest.mark.parametrize("key", conf.KEYS)
def test_each_setting_has_its_default_and_what_it_must_be(key: str) -> None:
    entry = ENTRIES.partition(f".. confval:: {key}\n")[2]
    lines = re.match(r"    :type: (.+)\n    :default: ``(.+)``\n\n    \w", entry)
    assert lines is not None
    assert lines[1] == conf.KEYS[key].must_be
    assert eval(lines[2]) == conf.KEYS[key].default


def test_each_check_and_each_command_has_an_entry() -> None:
    assert sorted(entries("check")) == sorted(CHECKS)
    assert sorted(entries("command")) == sorted(COMMANDS)
    assert set(COMMANDS) == {
        name for name, app in get_commands().items() if str(app).startswith("django_stream_zip")
    }


def test_each_template_tag_has_an_entry() -> None:
    page = (DOCS / "reference" / "templates.rst").read_text()
    named = re.findall(r"^``{% (zip_\w+)", page, re.MULTILINE)
    assert sorted(named) == sorted(zip_download.register.tags)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_has_an_entry(command: str) -> None:
    entry = ENTRIES.partition(f".. program:: {command}\n")[2].partition(".. program::")[0]
    assert set(re.findall(r"\.\. option:: (--\S+)", entry)) == options(command)


# Views and their like, whose attributes subclasses set; and the entries that have these.
CLASSES = {
    ("admin.py", "ZipDownloadAdminMixin"): "ZipDownloadAdminMixin",
    ("exports/views.py", "ZipExportView"): "ZipExportView",
    ("rest_framework/__init__.py", "ZipDownloadMixin"): "ZipDownloadMixin",
    ("views.py", "QuerySetZipViewMixin"): "QuerySetZipDownloadView",
    ("views.py", "ZipViewMixin"): "ZipViewMixin",
}


def attributes(path: str, class_name: str) -> Iterator[tuple[str, str]]:
    """Yield the lines that set attributes of a class, each with the line that stands above it."""
    source = (PACKAGE / path).read_text()
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for part in node.body:
                if isinstance(part, ast.Assign | ast.AnnAssign) and part.value is not None:
                    yield lines[part.lineno - 1].strip(), lines[part.lineno - 2].strip()


@pytest.mark.parametrize(("path", "class_name"), CLASSES)
def test_each_attribute_of_a_view_is_explained(path: str, class_name: str) -> None:
    found = dict(attributes(path, class_name))
    assert found
    assert [line for line, above in found.items() if not above.startswith("#: ")] == []
    entry = ENTRIES.partition(f".. autoclass:: {CLASSES[path, class_name]}()\n")[2]
    assert "    :members:\n" in entry.partition("\n\n")[0] + "\n"
