"""The documentation as text: its pages, and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import models

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = sorted((DOCS / "reference").glob("*.rst"))
PAGES = [ROOT / "README.rst", *sorted(DOCS.glob("*.rst")), *REFERENCE]

_BLOCK = re.compile(
    r"\.\. code-block:: (?P<language>\S+)\n"
    r"(?P<options>(?:    :.*\n)*)"
    r"\n(?P<code>(?:    .*\n|\n)+)"
)


class Photo(models.Model):
    """The model that the examples speak of."""

    album_id = models.IntegerField()
    owner = models.ForeignKey(User, models.CASCADE, null=True)
    title = models.CharField(max_length=100)
    image = models.FileField()

    class Meta:
        app_label = "tests_docs"


class Block(NamedTuple):
    """A block of code: its language, its caption ("" if it has none), and the code."""

    language: str
    caption: str
    code: str


def all_blocks(page: Path) -> list[Block]:
    found = []
    for match in _BLOCK.finditer(page.read_text()):
        caption = re.search(r":caption: (.*)", match["options"])
        code = dedent(match["code"]).strip("\n") + "\n"
        found.append(Block(match["language"], caption[1] if caption else "", code))
    return found


def blocks(page: Path, language: str) -> list[str]:
    """Return the code of a page, without the files of a site: these have captions."""
    found = [block for block in all_blocks(page) if not block.caption]
    return [block.code for block in found if block.language == language]


def block_with(page: str, word: str) -> str:
    languages = {"python", "html+django"}
    [code] = [
        block.code
        for block in all_blocks(ROOT / page)
        if block.language in languages and word in block.code
    ]
    return code


def run(block: str, module: str = __name__, **names: Any) -> dict[str, Any]:
    names["__name__"] = module
    exec(compile(block, "example", "exec"), names)
    return names


def without_blocks(page: Path) -> str:
    """Return a page's text without its blocks of code."""
    return _BLOCK.sub("", page.read_text())
