"""One room as a card, and the pieces of it that the room's own page shows as well."""

from roommood.aggregator.dashboard import charts
from roommood.aggregator.dashboard.cache import SnapshotCache
from roommood.aggregator.dashboard.explanations import term
from roommood.aggregator.dashboard.html import ago, render
from roommood.aggregator.dashboard.links import link
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.parts import Chart, block, element, words
from roommood.aggregator.dashboard.snapshot import Room
from roommood.aggregator.dashboard.sparkline import sparkline
from roommood.aggregator.dashboard.zones import PageZone
from roommood.aggregator.stats.problems import Problem

NOW_LABEL = "Shares of the expressions shown now; the list below gives the figures."
_HOUR_LABEL = "Expressions shown in the last hour, by minute; the room's page has the figures."


class RoomCard:
    """One room."""

    def __init__(self, name: str, frame: Frame) -> None:
        self._frame = frame
        with element("section", "rm-card rm-room", aria_label=f"Room {name}") as self._card:
            with element("div", "rm-card-head"):
                with words("h2", ""):
                    words("a", name).props["href"] = link(f"/room/{name}")
                self._fresh = words("span", "", "rm-fresh")
            self._now = block()
            self._bar = Chart("rm-chart-now", NOW_LABEL)
            self._shares = block()
            with element("div", "rm-hour") as self._strip:
                block("rm-note").content = term("last-hour")
                self._hour = Chart("rm-chart-hour", _HOUR_LABEL)
            self._facts = block()

    def show(self, cache: SnapshotCache, room: Room) -> None:
        away, now, name = cache.snapshot.is_unknown(room), room.now, room.name
        self._fresh.text = freshness(cache, room)
        self._card.classes(
            add="rm-room-silent" if now.silent else "",
            remove="" if now.silent else "rm-room-silent",
        )
        self._now.content = now_html(cache, room, self._frame.zone)
        self._bar.show(cache.once(("bar", name), lambda: charts.now_bar(now.shares)))
        self._bar.hide(not now.shares)
        self._shares.content = shares_html(cache, room)
        self._hour.show(cache.once(("hour", name), lambda: charts.hour_strip(room.hour)))
        self._strip.set_visibility(bool(room.hour))
        self._facts.content = cache.once(
            ("facts", name), lambda: render("facts.html", room=room, away=away)
        )


def freshness(cache: SnapshotCache, room: Room) -> str:
    """How old the newest frame is."""
    if cache.snapshot.is_unknown(room):
        return "not known"
    return "silent" if room.now.age_s is None else ago(room.now.age_s)


def now_html(cache: SnapshotCache, room: Room, zone: PageZone) -> str:
    """What a room shows, in words, with what is wrong with its cameras' pictures."""
    away = cache.snapshot.is_unknown(room)
    return cache.once(
        ("now", room.name, zone.name),
        lambda: render(
            "now.html", room=room, away=away, troubled=troubles_of(cache, room), zone=zone.zone,
            trend=trend_of(room),
        ),
    )  # fmt: skip


def troubles_of(cache: SnapshotCache, room: Room) -> list[Problem]:
    """What is wrong in a room."""
    by_room = cache.once("problems by room", lambda: _by_room(cache))
    return by_room.get(room.name, [])


def _by_room(cache: SnapshotCache) -> dict[str, list[Problem]]:
    by_room: dict[str, list[Problem]] = {}
    for problem in cache.once("problems", lambda: cache.snapshot.problems):
        by_room.setdefault(problem.room, []).append(problem)
    return by_room


def trend_of(room: Room) -> str:
    """How many people there were in the last hour, minute by minute, as a small line."""
    people = [minute.people for minute in room.hour]
    known = [count for count in people if count is not None]
    if not known:
        return ""
    return sparkline(people, f"People in the last hour: {min(known):.0f} to {max(known):.0f}")


def shares_html(cache: SnapshotCache, room: Room) -> str:
    shares = room.now.shares
    return cache.once(("shares", room.name), lambda: render("shares.html", shares=shares))
