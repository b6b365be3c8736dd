"""The licences of what the package and its extras install: docs/licences.rst says them all."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "licences.rst").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = {"always": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}

# Many spellings of few licences.
SPELLED = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
}
PERMISSIVE = {
    *("Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC"),
    *("MIT", "MIT-0", "PSF-2.0", "Unlicense"),
}


def rows() -> list[tuple[str, str, str]]:
    """Return the table of the page: installed by, package, licence."""
    found = re.findall(r"^(?:``)?(\w+)(?:``)? +([\w-]+)  +(\S.*)$", PAGE, re.MULTILINE)
    return [row for row in found if row[0] != "Installed"]


def licence(package: Distribution) -> str:
    """Return what a package declares, in the one spelling."""
    metadata = package.metadata
    kinds = [kind for kind in metadata.get_all("Classifier", []) if kind.startswith("License ::")]
    declared = [metadata.get("License-Expression"), metadata.get("License"), *kinds]
    names = [name.rpartition(" :: ")[2] for name in declared if name and len(name) < 80]
    spelled = [SPELLED.get(name, name) for name in names]
    known = [name for name in spelled if is_permissive(name)]
    return (known or spelled or ["unknown"])[0]


def is_permissive(name: str) -> bool:
    return {*re.split(" AND | OR ", name)} <= PERMISSIVE


def installed(requirement: Requirement) -> Iterator[Distribution]:
    """Yield the package that is required, and all that it requires here."""
    package = distribution(requirement.name)
    yield package
    for text in package.requires or ():
        inner = Requirement(text)
        extras = ["", *requirement.extras]
        if not inner.marker or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
            yield from installed(inner)


def all_of(extra: str) -> dict[str, Distribution]:
    try:
        found = [p for text in REQUIRED[extra] for p in installed(Requirement(text))]
    except PackageNotFoundError as error:
        pytest.skip(f"{error.name} isn't installed")
    return {package.name.lower(): package for package in found}


def test_each_extra_has_its_rows() -> None:
    assert {extra for extra, _, _ in rows()} == {*REQUIRED}
    # What an extra shares with others is said for each.
    named = {(extra, Requirement(text).name) for extra in REQUIRED for text in REQUIRED[extra]}
    assert named <= {(extra, name) for extra, name, _ in rows()}


@pytest.mark.parametrize("extra", REQUIRED)
def test_the_table_says_what_the_packages_declare(extra: str) -> None:
    packages = all_of(extra)
    told = {name: what for by, name, what in rows() if by == extra}
    assert told == {name: licence(packages[name]) for name in told}


@pytest.mark.parametrize("extra", REQUIRED)
def test_a_licence_that_asks_more_is_said(extra: str) -> None:
    demanding = {name: p for name, p in all_of(extra).items() if not is_permissive(licence(p))}
    for name, package in demanding.items():
        assert name in PAGE, name
        assert licence(package) in PAGE, name
