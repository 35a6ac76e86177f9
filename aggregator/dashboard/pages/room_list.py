"""Many rooms as rows. A row belongs to a place and not to a room: a new order moves no element."""

from collections.abc import Sequence

from nicegui import ui

from roommood.aggregator.dashboard.cache import SnapshotCache
from roommood.aggregator.dashboard.html import render
from roommood.aggregator.dashboard.pages.card import trend_of, troubles_of
from roommood.aggregator.dashboard.pages.parts import element, words
from roommood.aggregator.dashboard.snapshot import Room


class RoomList:
    """A table of rooms."""

    def __init__(self) -> None:
        self._rows: list[ui.html] = []
        with (
            element(
                "div", "rm-scroll rm-list", role="region", aria_label="Rooms", tabindex="0"
            ) as self._region,
            element("table", "rm-table"),
        ):
            words("caption", "Rooms now", "rm-hidden")
            ui.html(render("list_head.html"), sanitize=False, tag="thead")
            self._body = element("tbody")

    def show(self, cache: SnapshotCache, rooms: Sequence[Room]) -> None:
        self._region.set_visibility(bool(rooms))
        while len(self._rows) < len(rooms):
            with self._body:
                self._rows.append(ui.html("", sanitize=False, tag="tr"))
        for row in self._rows[len(rooms) :]:
            row.delete()
        del self._rows[len(rooms) :]
        for row, room in zip(self._rows, rooms, strict=True):
            row.content = row_html(cache, room)


def row_html(cache: SnapshotCache, room: Room) -> str:
    return cache.once(
        ("row", room.name),
        lambda: render(
            "row.html", room=room, away=cache.snapshot.is_unknown(room),
            troubled=troubles_of(cache, room), trend=trend_of(room),
        ),
    )  # fmt: skip
