"""What axe finds wrong with a page for people who see, hear or move in other ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.support.npm import node_modules


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of npm's axe-core."""
    folder = node_modules("axe-core", tmp_path_factory.mktemp("node"))
    return Path(folder, "axe-core", "axe.min.js").read_text()


def findings(page: Page, axe: str, rules: Sequence[str] = ()) -> list[str]:
    """Return each rule that is broken, with the element that breaks it."""
    page.evaluate(axe)
    options = {"runOnly": list(rules)} if rules else {}
    result = page.evaluate("options => axe.run(options)", options)
    assert result["passes"]
    return [
        f"{rule['id']}: {node['html']}" for rule in result["violations"] for node in rule["nodes"]
    ]
