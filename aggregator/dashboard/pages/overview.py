"""Every room at a glance."""

from roommood.aggregator.dashboard import charts
from roommood.aggregator.dashboard.broadcaster import Broadcaster
from roommood.aggregator.dashboard.cache import Scene
from roommood.aggregator.dashboard.html import ago, render
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.parts import Chart, block, element, words
from roommood.aggregator.dashboard.snapshot import Room
from roommood.aggregator.dashboard.zones import PageZone

_NOW_LABEL = "Shares of the expressions shown now; the list below gives the figures."
_HOUR_LABEL = "Expressions shown in the last hour, by minute; the room's page has the figures."


def overview_page(hub: Broadcaster, zone: PageZone) -> None:
    """Builds the page for one who looks."""
    frame = Frame(hub, zone, "/")
    with frame.body():
        words("h1", "Rooms", "rm-title")
        problems = _Problems()
        rooms = _Rooms(frame)

    def show(scene: Scene) -> None:
        problems.show(scene)
        rooms.show(scene)

    frame.follow(show)


class _Problems:
    """What is wrong on the site, before all else."""

    def __init__(self) -> None:
        with element("section", "rm-card", aria_labelledby="wrong") as self._card:
            words("h2", "What is wrong").props["id"] = "wrong"
            self._list = block("rm-block")

    def show(self, scene: Scene) -> None:
        found = scene.once("problems", lambda: scene.snapshot.problems)
        self._card.set_visibility(bool(found))
        self._list.content = scene.once(
            "problems as a list", lambda: render("problems.html", problems=found)
        )


class _Rooms:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._cards: dict[str, RoomCard] = {}
        self._empty = element("div", "rm-card rm-empty")
        with self._empty:
            words("h2", "No room yet")
            words("p", "A room appears here as soon as the first picture of it was counted.")
            words("p", "Nothing at hand to try it with? This starts three simulated cameras:")
            words("pre", "roommood demo --dashboard")
        self._grid = element("div", "rm-rooms")

    def show(self, scene: Scene) -> None:
        troubled = {one.room for one in scene.once("problems", lambda: scene.snapshot.problems)}
        first = sorted(scene.snapshot.rooms, key=lambda room: room.name not in troubled)
        rooms = {room.name: room for room in first}
        if list(rooms) != list(self._cards):
            self._build(list(rooms))
        for name, room in rooms.items():
            self._cards[name].show(scene, room)
        self._empty.set_visibility(not rooms and not scene.snapshot.away)

    def _build(self, names: list[str]) -> None:
        self._grid.clear()
        with self._grid:
            self._cards = {name: RoomCard(name, self._frame) for name in names}


class RoomCard:
    """One room."""

    def __init__(self, name: str, frame: Frame) -> None:
        self._frame = frame
        with element("section", "rm-card rm-room", aria_label=f"Room {name}") as self._card:
            with element("div", "rm-card-head"):
                with words("h2", ""):
                    words("a", name).props["href"] = f"/room/{name}"
                self._fresh = words("span", "", "rm-fresh")
            self._now = block()
            self._bar = Chart("rm-chart-now", _NOW_LABEL)
            self._shares = block()
            with element("div", "rm-hour") as self._strip:
                words("p", "Last hour", "rm-note")
                self._hour = Chart("rm-chart-hour", _HOUR_LABEL)
            self._facts = block()

    def show(self, scene: Scene, room: Room) -> None:
        away, now, name = scene.snapshot.is_unknown(room), room.now, room.name
        self._fresh.text = freshness(scene, room)
        self._card.classes(
            add="rm-room-silent" if now.silent else "",
            remove="" if now.silent else "rm-room-silent",
        )
        self._now.content = now_html(scene, room, self._frame.zone)
        self._bar.show(scene.once(("bar", name), lambda: charts.now_bar(now.shares)))
        self._bar.hide(not now.shares)
        self._shares.content = shares_html(scene, room)
        self._hour.show(scene.once(("hour", name), lambda: charts.hour_strip(room.hour)))
        self._strip.set_visibility(bool(room.hour))
        self._facts.content = scene.once(
            ("facts", name), lambda: render("facts.html", room=room, away=away)
        )


def freshness(scene: Scene, room: Room) -> str:
    """How old the newest frame is."""
    if scene.snapshot.is_unknown(room):
        return "not known"
    return "silent" if room.now.age_s is None else ago(room.now.age_s)


def now_html(scene: Scene, room: Room, zone: PageZone) -> str:
    """What a room shows, in words, with what is wrong with its cameras' pictures."""
    snapshot = scene.snapshot
    every = scene.once("problems", lambda: snapshot.problems)
    troubled = [one for one in every if one.room == room.name]
    away = snapshot.is_unknown(room)
    return scene.once(
        ("now", room.name, zone.name),
        lambda: render("now.html", room=room, away=away, troubled=troubled, zone=zone.zone),
    )


def shares_html(scene: Scene, room: Room) -> str:
    shares = room.now.shares
    return scene.once(("shares", room.name), lambda: render("shares.html", shares=shares))
