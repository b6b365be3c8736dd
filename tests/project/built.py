"""What is in dist/, looked at as a stranger gets it: `tox run -e package` runs this.

The source distribution holds what the repository does, the wheel the package. The wheel is
installed into an environment of its own. There the engine works without Django, and then the quick
start of the docs, from an empty folder to a download.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
PACKAGE = "django_stream_zip/"

# Nothing of the repository is found, nor what a developer has set for other programs.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DJANGO"))
}

# A caption of one word is the file's path. Others name variants, which are left out.
BLOCK = re.compile(
    r"^\.\. code-block:: (?:python|html\+django)\n(?:    :caption: (\S+)\n)?\n((?:    .*\n|\n)+)",
    re.MULTILINE,
)


def only(pattern: str) -> Path:
    [path] = DIST.glob(pattern)
    return path


def check_the_source_distribution() -> None:
    with tarfile.open(only("*.tar.gz")) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True)
    different = held ^ {*listed.splitlines(), "PKG-INFO"}
    assert not different, f"in the repository or in the source distribution alone: {different}"


def check_the_wheel() -> None:
    with zipfile.ZipFile(only("*.whl")) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = subprocess.check_output(["git", "ls-files", PACKAGE], cwd=ROOT, text=True)
    different = held ^ {*listed.splitlines()}
    assert not different, f"in the package or in the wheel alone: {different}"


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the caption and the text of each block of code."""
    text = (ROOT / page).read_text()
    return [(caption, dedent(block)) for caption, block in BLOCK.findall(text)]


def run(*command: str | Path, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, env=ENVIRONMENT, check=True)


def install(python: Path, *packages: str | Path) -> None:
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q"]
    run(*pip, "--disable-pip-version-check", *packages, cwd=python.parent)


def check_the_engine(python: Path, folder: Path) -> None:
    install(python, "--no-deps", only("*.whl"), "pycryptodome")
    [example] = [text for _, text in blocks("README.rst") if "stream_zip(members)" in text]
    alone = "import importlib.util; assert importlib.util.find_spec('django') is None\n"
    run(python, "-c", alone + example, cwd=folder)
    with zipfile.ZipFile(folder / "lines.zip") as archive:
        assert archive.read("lines.txt").endswith(b"line 999\n")


def write_the_site(folder: Path) -> None:
    """Do what the page says: settings are added to, the other files are whole."""
    named = [block for block in blocks("docs/quickstart.rst") if block[0]]
    for name, text in named:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if name == "mysite/settings.py" else ""
        path.write_text(before + text)


def check_the_quick_start(python: Path, folder: Path) -> None:
    install(python, only("*.whl"))
    run(python, "-m", "django", "startproject", "mysite", ".", cwd=folder)
    run(python, "manage.py", "startapp", "photos", cwd=folder)
    write_the_site(folder)
    tests = ROOT / "tests" / "project" / "quick_start" / "tests.py"
    (folder / "photos" / "tests.py").write_text(tests.read_text())
    run(python, "manage.py", "makemigrations", "-v", "0", "photos", cwd=folder)
    run(python, "manage.py", "check", "--fail-level", "WARNING", cwd=folder)
    run(python, "manage.py", "test", cwd=folder)


def main() -> None:
    check_the_source_distribution()
    check_the_wheel()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photosite")
        folder.mkdir()
        environment = Path(place, "venv")
        venv.create(environment)
        [python] = [*environment.glob("bin/python"), *environment.glob("Scripts/python.exe")]
        check_the_engine(python, folder)
        check_the_quick_start(python, folder)


if __name__ == "__main__":
    main()
