"""A room whose Redis node gives no answer: named, and without figures, wherever rooms are shown."""

import io
from datetime import UTC, datetime

from rich.console import Console

from roommood.aggregator.prometheus.exporter import site_samples
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import KnownRoom
from roommood.aggregator.stats.site import Site
from roommood.aggregator.terminal.tables import live_line, live_table, rooms_table
from roommood.aggregator.terminal.watch_view import Screen, View, watch_screen

WHY = "Redis node 10.0.0.2:6379 does not answer"
KNOWN = [KnownRoom(room, datetime(2026, 11, 26, tzinfo=UTC), False) for room in ("den", "hall")]
NOW = [RoomNow("den"), RoomNow("hall", away=WHY)]
SITE = Site(KNOWN, NOW, [], [], away=frozenset({"10.0.0.2:6379"}))


def shown(what: object) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(what)
    return out.getvalue()


def test_prometheus_is_told_that_it_is_unknown_and_nothing_else() -> None:
    samples = [*site_samples(SITE, [None, None])]
    of_hall = {
        sample.name: sample.value for sample in samples if sample.labels.get("room") == "hall"
    }
    assert of_hall == {"roommood_room_unknown": 1}
    of_den = {sample.name: sample.value for sample in samples if sample.labels.get("room") == "den"}
    assert (of_den["roommood_room_unknown"], of_den["roommood_room_up"]) == (0, 0)
    nodes = [
        sample.value for sample in samples if sample.name == "roommood_exporter_redis_nodes_away"
    ]
    assert nodes == [1]


def test_a_terminal_says_unknown_not_silent() -> None:
    assert live_line(NOW[1]) == f"hall: unknown: {WHY}"
    assert live_line(NOW[0]) == "den: silent"
    assert "not known" in shown(live_table(NOW))
    assert "its Redis node gives no answer" in shown(rooms_table(KNOWN, {"den": {}}))


def test_watch_names_the_node() -> None:
    scene = View(NOW, warnings=["Redis node 10.0.0.2:6379 gives no answer"])
    text = shown(watch_screen(scene, Screen(160, 40)))
    assert "unknown" in text
    assert "10.0.0.2:6379 gives no answer" in text
