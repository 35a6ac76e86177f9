"""The table of `roommood watch` on terminals of any width, with and without colour."""

import dataclasses
import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from rich.console import Console

from roommood.aggregator.counting.store import Store
from roommood.aggregator.stats.figures import RoomPeriod, room_period
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.terminal.watch_view import Screen, View, sparkline, watch_screen
from roommood.shared import clock
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.aggregator.made import SPLIT, delivery, face, only, result
from tests.redis_server import RedisServer
from tests.terminals import all_shown

_ROOT = Path(__file__).parents[3]
_PROGRAM = "from roommood.deploy.cli import main; main()"
KITCHEN = RoomNow(
    "kitchen",
    people=2.0,
    shares=dict(zip(EXPRESSIONS, SPLIT, strict=True)),
    dominant="neutral",
    valence=0.25,
    sure_share=1.0,
    frames_per_s=14.96,
    age_s=0.4,
)
HALL = RoomNow("a-hall-with-a-name-that-is-longer-than-any-column")


def minutes(people: Sequence[float | None]) -> list[RoomPeriod]:
    sums = [
        {} if summed is None else {"observed_us:door": 1000, "face_us:door": round(summed * 1000)}
        for summed in people
    ]
    return [room_period("kitchen", summed, 0.0, 30.0, 30.0) for summed in sums]


def drawn(scene: View, screen: Screen, colour: bool = False) -> str:
    console = Console(
        width=screen.width,
        file=io.StringIO(),
        force_terminal=colour,
        color_system="truecolor" if colour else None,
    )
    with console.capture() as captured:
        console.print(watch_screen(scene, screen))
    return captured.get()


SCENE = View([KITCHEN, HALL], {"kitchen": minutes([None, 0.0, 1.0, 2.0, 4.0])})


@pytest.mark.parametrize("width", range(44, 200, 6))
def test_it_fits_the_terminal(width: int) -> None:
    lines = drawn(SCENE, Screen(width)).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 5
    assert any("kitchen" in line and "neutral 60 %" in line for line in lines)


def test_wide_terminals_show_more() -> None:
    narrow, wide = drawn(SCENE, Screen(44)), drawn(SCENE, Screen(180))
    assert "Last 10 min" not in narrow
    for shown in ("Last 10 min", "▁▂▄█", "+0.25", "happiness 20 %", "15.0", "0.4 s"):
        assert shown in wide


def test_a_silent_room_says_so_and_shows_no_figure() -> None:
    (line,) = [line for line in drawn(SCENE, Screen(180)).splitlines() if "a-hall" in line]
    assert "no frame for 10 s" in line
    assert "silent" in line
    assert not re.search(r"\d %|\d\.\d", line)


def test_it_speaks_of_expressions_shown() -> None:
    text = drawn(SCENE, Screen())
    assert "expressions shown, not felt" in text
    assert "emotion" not in text.lower()


def test_without_colour_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = drawn(SCENE, Screen(), colour=True)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = drawn(SCENE, Screen(), colour=True)
    assert re.search(r"\x1b\[[\d;]*38;", coloured)
    assert not re.search(r"\x1b\[[\d;]*(3[0-8]|4[0-8]);?[\d;]*m", plain)
    strip = re.compile(r"\x1b\[[\d;]*m")
    assert strip.sub("", plain) == strip.sub("", coloured)


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert drawn(SCENE, Screen(120, plain=True)).isascii()
    assert not drawn(SCENE, Screen(120)).isascii()


def test_rooms_for_which_there_is_no_space_are_counted() -> None:
    many = View([RoomNow(f"room-{n}") for n in range(30)])
    lines = drawn(many, Screen(80, height=15)).splitlines()
    assert len(lines) <= 14
    assert "20 more rooms" in lines[-1]


def test_trouble_is_told() -> None:
    assert "Redis does not answer" in drawn(View(trouble="Redis does not answer"), Screen())
    assert "No room yet" in drawn(View(), Screen())


@pytest.mark.parametrize(
    ("values", "low", "high", "line"),
    [
        ([0.0, 1.0], 0.0, 1.0, "▁█"),
        ([None, 0.5, None], 0.0, 1.0, " ▅ "),
        ([-5.0, 5.0], 0.0, 1.0, "▁█"),
        ([1.0], 1.0, 1.0, "▁"),
        ([], 0.0, 1.0, ""),
    ],
)
def test_a_sparkline_leaves_blank_what_was_not_observed(
    values: list[float | None], low: float, high: float, line: str
) -> None:
    assert sparkline(values, low, high) == line


def test_histories_of_many_rooms_are_those_of_each(store: Store, client: redis.Redis) -> None:
    now_ms = clock.wall_ms()
    frames = [
        delivery(result(n, face(only("happiness")), room=room), now_ms - n * 5000)
        for n in range(40)
        for room in ("kitchen", "hall")
    ]
    assert not store.commit(frames, now_ms).errors
    store.touch_rooms({"kitchen": now_ms, "hall": now_ms})
    stats = RoomStats(client, now_ms=lambda: now_ms)
    last, by = timedelta(minutes=5), timedelta(seconds=30)
    both = stats.raw_histories(["hall", "kitchen"], last, by)
    assert both == [stats.history("hall", last, by), stats.history("kitchen", last, by)]
    (raw,) = stats.raw_summaries(["kitchen"], last)
    assert raw == stats.summary("kitchen", last)


@pytest.mark.parametrize("dumb", [False, True])
def test_a_dumb_terminal_gets_lines(server: RedisServer, store: Store, dumb: bool) -> None:
    store.touch_rooms({"kitchen": clock.wall_ms()})
    terminal, its_end = os.openpty()
    command = [sys.executable, "-c", _PROGRAM, "watch", "--seconds", "0", "--redis", server.url]
    environment = {**os.environ, "TERM": "dumb" if dumb else "xterm"}
    watching = subprocess.Popen(command, cwd=_ROOT, stdout=its_end, env=environment)
    os.close(its_end)
    lines = all_shown(terminal)
    assert watching.wait(10) == 0
    assert (b"kitchen: silent" in lines) is dumb
    assert (b"Shown most" in lines) is not dumb


def test_an_expression_that_leads_but_not_yet_by_enough_is_told_as_that() -> None:
    now = dataclasses.replace(KITCHEN, shares={"neutral": 0.42, "happiness": 0.5})
    assert "turning to happiness 50 %" in drawn(View([now]), Screen(160))
    assert "turning" not in drawn(View([KITCHEN]), Screen(160))
