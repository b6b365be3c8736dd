"""A limit of downloads at once, over real servers: given back by the end and by a disconnect."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from tests.servers.harness import Server, new_token
from tests.support.network import eventually


def test_a_client_who_goes_away_makes_room(one_of_each: Server) -> None:
    server, user = one_of_each, new_token()
    slow = f"/folder/album/?user={user}&token={user}"  # more than socket buffers hold

    def status() -> int:
        return server.ask(f"/folder/tiny/?user={user}").status

    with ExitStack() as stack:
        for _ in range(2):
            connection: Any = stack.enter_context(server.connect())
            connection.request("GET", slow)
            response = stack.enter_context(connection.getresponse())
            assert (response.status, len(response.read(1000))) == (200, 1000)
        refused = server.ask(f"/folder/tiny/?user={user}")
        assert (refused.status, refused.headers["retry-after"]) == (503, "30")
        assert server.ask(f"/folder/tiny/?user={user}", method="HEAD").status == 200
        assert server.ask(f"/folder/tiny/?user=not-{user}").status == 200
    eventually(lambda: status() == 200)
    assert [status() for _ in range(5)] == [200] * 5
