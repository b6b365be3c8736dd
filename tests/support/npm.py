"""Packages of npm that tests run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def node_modules(package: str, folder: Path) -> Path:
    """Return a folder with a package, installed if need be; else skip, or fail the test on CI."""
    give_up = pytest.fail if os.environ.get("CI") else pytest.skip
    if not (shutil.which("npm") and shutil.which("node")):
        give_up(f"npm's {package} needs npm and node")
    root = subprocess.run(["npm", "root", "--global"], capture_output=True, text=True, check=True)
    everybodys = Path(root.stdout.strip())
    if (everybodys / package).is_dir():
        return everybodys
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), package]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        give_up(f"npm doesn't install {package}: {done.stderr.decode()[-500:]}")
    return folder / "node_modules"
