"""Files that aren't in the page cache when they are read."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 0.1


@contextmanager
def dropped(paths: Iterable[Path]) -> Iterator[None]:
    """Have the system forget what it holds of these files, again and again until the block ends.

    Once wouldn't do: of several downloads of one file the first would read it for the others.
    """
    os.sync()  # what isn't written yet can't be dropped
    files = [os.open(path, os.O_RDONLY) for path in paths]
    is_over = threading.Event()

    def drop() -> None:
        while not is_over.is_set():
            for file in files:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            is_over.wait(_SECONDS)

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        for file in files:
            os.close(file)
