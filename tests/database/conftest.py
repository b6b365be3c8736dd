"""One PostgreSQL for all who need one: to start it takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.database.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    """Run a PostgreSQL, with an empty database."""
    with postgres() as running:
        yield running
