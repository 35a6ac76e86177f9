"""One room: now, its past, and its cameras."""

from datetime import datetime, timedelta

from nicegui import ui

from roommood.aggregator.dashboard import charts
from roommood.aggregator.dashboard.archive import Archive
from roommood.aggregator.dashboard.broadcaster import Broadcaster
from roommood.aggregator.dashboard.cache import SnapshotCache
from roommood.aggregator.dashboard.html import render
from roommood.aggregator.dashboard.pages.card import (
    NOW_LABEL,
    freshness,
    now_html,
    shares_html,
)
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.heat import HeatSection
from roommood.aggregator.dashboard.pages.history import HistorySection
from roommood.aggregator.dashboard.pages.operator import OperatorSection
from roommood.aggregator.dashboard.pages.parts import Chart, block, element, words
from roommood.aggregator.dashboard.snapshot import Room
from roommood.aggregator.dashboard.switches import Switches
from roommood.aggregator.dashboard.zones import PageZone
from roommood.aggregator.stats.calendar import Span

_STILL_MINUTES = 10
_WORTH_TELLING = 0.05


def room_page(
    broadcaster: Broadcaster,
    archive: Archive,
    switches: Switches | None,
    zone: PageZone,
    name: str,
    hour: datetime | None,
) -> None:
    """Builds the page for one who looks; `hour` is the one whose figures are shown at first."""
    ui.page_title(f"{name} – roommood")
    frame = Frame(broadcaster, zone, "/room")
    with frame.body():
        words("h1", name, "rm-title")
        page = _RoomPage(archive, switches, name, frame, hour)
    frame.follow(page.show)


class _RoomPage:
    def __init__(
        self,
        archive: Archive,
        switches: Switches | None,
        name: str,
        frame: Frame,
        hour: datetime | None,
    ) -> None:
        self._name = name
        self._unknown = element("div", "rm-card rm-empty")
        with self._unknown:
            words("p", f"Nothing of a room called {name} has been counted yet.")
        self._known = element("div", "rm-stack")
        with self._known:
            self._now = _NowSection(frame)
            with element("section", "rm-card", aria_labelledby="cameras"):
                words("h2", "Cameras").props["id"] = "cameras"
                self._cameras = block("rm-block")
            history = HistorySection(archive, name, frame)
            HeatSection(archive, name, frame, history.show_hour)
            self._operator = OperatorSection(switches, name, frame) if switches else None
        if hour is not None:
            frame.once_settled(lambda: history.show_hour(Span(hour, hour + timedelta(hours=1))))

    def show(self, cache: SnapshotCache) -> None:
        room = cache.snapshot.room(self._name)
        self._unknown.set_visibility(room is None and not cache.snapshot.away)
        self._known.set_visibility(room is not None)
        if room is None:
            return
        self._now.show(cache, room)
        if self._operator is not None:
            self._operator.show(cache.snapshot)
        self._cameras.content = cache.once(
            ("cameras", room.name), lambda: cameras_html(cache, room)
        )


class _NowSection:
    """The last seconds."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        with element("section", "rm-card", aria_labelledby="now") as self._card:
            with element("div", "rm-card-head"):
                words("h2", "Now").props["id"] = "now"
                self._fresh = words("span", "", "rm-fresh")
            self._now = block()
            self._bar = Chart("rm-chart-now", NOW_LABEL)
            self._shares = block()
            self._facts = block()

    def show(self, cache: SnapshotCache, room: Room) -> None:
        now, name = room.now, room.name
        self._fresh.text = freshness(cache, room)
        self._now.content = now_html(cache, room, self._frame.zone)
        self._bar.show(cache.once(("bar", name), lambda: charts.now_bar(now.shares)))
        self._bar.hide(not now.shares)
        self._shares.content = shares_html(cache, room)
        self._facts.content = cache.once(
            ("more facts", name),
            lambda: render("room_facts.html", room=room, away=cache.snapshot.is_unknown(room)),
        )


def cameras_html(cache: SnapshotCache, room: Room) -> str:
    """Cameras that were heard of in the last day, with what they see now."""
    now = {} if cache.snapshot.away else {camera.camera: camera for camera in room.now.cameras}
    cameras = [(camera, now.get(camera.camera)) for camera in cache.snapshot.cameras_of(room.name)]
    return render(
        "room_cameras.html", cameras=cameras, away=bool(cache.snapshot.away), still=still_of(room)
    )


def still_of(room: Room) -> dict[str, float]:
    """By camera, how many boxes at once it saw in the last minutes that have not moved for an
    hour: a poster, a portrait, a thing."""
    seen: dict[str, list[float]] = {}
    for minute in room.hour[-_STILL_MINUTES:]:
        for camera in minute.cameras:
            seen.setdefault(camera.camera, []).append(camera.still)
    return {name: max(boxes) for name, boxes in seen.items() if max(boxes) >= _WORTH_TELLING}
