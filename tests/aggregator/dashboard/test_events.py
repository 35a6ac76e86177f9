"""Server-sent events: what changes comes at once, and clients are bounded."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from roommood.aggregator.counting.store import Store
from roommood.aggregator.dashboard.events import MOST_CLIENTS
from roommood.shared.quiet_hours import RoomQuietHours
from tests.aggregator.dashboard.served import Served
from tests.aggregator.rooms import Rooms
from tests.end_to_end.site import PATIENCE_S, until
from tests.redis_server import RedisServer

Event = tuple[str, Any]


@contextmanager
def listening(served: Served) -> Iterator[Iterator[Event]]:
    with served.http.stream("GET", "/api/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer.iter_lines())


def events(lines: Iterator[str]) -> Iterator[Event]:
    """Those of the first 30 s; heartbeats come in between, so that this does end."""
    end_s, name = time.monotonic() + PATIENCE_S, ""
    for line in lines:
        assert time.monotonic() < end_s, "the event did not come"
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def next_of(each: Iterator[Event], room: str, **expected: object) -> Any:
    """The next event of this room that says what is expected."""
    for name, data in each:
        if name == "room" and data["room"] == room and expected.items() <= data.items():
            return data
    raise AssertionError("the stream has ended")


def test_a_client_is_told_the_state_then_each_change(dashboard: Served, rooms: Rooms) -> None:
    rooms.show("yard", "happiness", people=2)
    until(lambda: dashboard.room("yard"), "the room is there")
    with listening(dashboard) as each:
        assert next(each) == ("redis", {"redis": "answers", "why": ""})
        assert next_of(each, "yard")
        rooms.show("yard", "sadness", people=5)
        assert next_of(each, "yard", dominant="sadness")
        rooms.fall_silent("yard")
        assert next_of(each, "yard", silent=True, shares={}, people=None)


def test_a_silent_room_in_its_quiet_hours_says_so_as_they_begin_and_end(
    dashboard: Served, server: RedisServer, rooms: Rooms
) -> None:
    """Else nobody could tell it from one whose cameras are dead."""
    rooms.show("loft", "happiness")
    until(lambda: dashboard.room("loft"), "the room is there")
    rooms.fall_silent("loft")
    with closing(Store(server.url)) as store, listening(dashboard) as each:
        assert next_of(each, "loft", silent=True, quiet=False, paused=False)
        store.set_quiet_hours("loft", RoomQuietHours.parse("UTC; 00:00-24:00"))
        assert next_of(each, "loft", silent=True, quiet=True, paused=False)
        assert dashboard.room("loft")["quiet"]
        store.set_quiet_hours("loft", None)
        assert next_of(each, "loft", silent=True, quiet=False)


def test_clients_are_bounded_and_leave_room_when_they_go(dashboard: Served) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(raw_client(dashboard)) for _ in range(MOST_CLIENTS)]
        for client in opened:
            assert client.recv(12) == b"HTTP/1.1 200"
        assert dashboard.get("/api/events").status_code == 503
        assert dashboard.get("/api/rooms").status_code == 200
    until(lambda: status_of_new_client(dashboard) == b"HTTP/1.1 200", "those who left are gone")


@contextmanager
def raw_client(served: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), 20.0) as link:
        host = f"127.0.0.1:{served.port}"
        link.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        yield link


def status_of_new_client(served: Served) -> bytes:
    with raw_client(served) as link:
        return link.recv(12)
