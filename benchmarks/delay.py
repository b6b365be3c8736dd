"""A TCP proxy on loopback that is some way off: what comes back arrives later.

A connection may also be slow: it passes so many bytes a second on, each way.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import TypeAlias

#: What is to be delivered, and when.
_UnderWay: TypeAlias = "asyncio.Queue[tuple[float, bytes]]"


@contextmanager
def delayed(port: int, seconds: float, bytes_a_second: float = inf) -> Iterator[int]:
    """Yield the port of a proxy for a server on this machine; answers take so much longer."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = _Proxy(port, seconds, bytes_a_second)
    server = asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Proxy:
    def __init__(self, port: int, seconds: float, bytes_a_second: float) -> None:
        self._port = port
        self._seconds = seconds
        self._bytes_a_second = bytes_a_second
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> asyncio.Server:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self._server

    async def stop(self) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Else asyncio tells of those that `stop` cancels.
        with suppress(asyncio.CancelledError):
            await self._pass_on(reader, writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._port)
        # The socket's own buffer is no store for what is under way.
        try:
            await asyncio.gather(
                _pass_on(reader, target_writer, 0, self._bytes_a_second),
                _pass_on(target_reader, writer, self._seconds, self._bytes_a_second),
            )
        finally:
            for end in (writer, target_writer):
                end.close()


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    seconds: float,
    bytes_a_second: float,
) -> None:
    """Pass bytes on, each so many seconds after it came; later ones may be under way meanwhile."""
    under_way: _UnderWay = asyncio.Queue(256)
    delivering = asyncio.create_task(_deliver(under_way, writer))
    loop = asyncio.get_running_loop()
    passed = 0.0  # when what has come so far is through
    try:
        while True:
            data = await reader.read(65536)
            passed = max(passed, loop.time()) + len(data) / bytes_a_second
            await under_way.put((passed + seconds, data))
            # Who sends more than passes has to wait.
            await asyncio.sleep(max(0.0, passed - loop.time()))
            if not data:
                break
    except OSError:
        await under_way.put((0, b""))
    except asyncio.CancelledError:
        delivering.cancel()
        raise
    finally:
        with suppress(asyncio.CancelledError):
            await delivering


async def _deliver(under_way: _UnderWay, writer: asyncio.StreamWriter) -> None:
    """Write what is under way when it is due, until nothing is."""
    while True:
        due, data = await under_way.get()
        if (left := due - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)
        with suppress(OSError):
            writer.write(data)
            if not data:
                writer.close()
                return
            await writer.drain()
