"""Building: whole and equal to what is streamed, or not there at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_stream_zip.exports import State, build_export
from tests.support import exports as support
from tests.support.counting import CountingStorage
from tests.support.exports import again, requested, run_all, run_in_threads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("run", [run_all, run_in_threads])
def test_an_archive_in_parts_is_what_is_streamed(
    run: Any, root: Path, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [5000, 0, 1, 4000])
    export = requested()
    assert support.queue.popleft() == ("build_export", str(export.pk))
    build_export(str(export.pk))
    assert [task[0] for task in support.queue] == ["build_parts"] * 3
    assert again(export).state == State.BUILDING
    run()
    ready = again(export)
    assert ready.state == State.READY
    assert support.stored(ready, root) == support.streamed(export)
    assert (ready.length, ready.members, ready.bytes_done) == (ready.length, 4, ready.length)
    assert support.files_in(root) == [ready.file]
