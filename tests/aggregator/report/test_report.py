"""The report: one file that asks nothing of anybody, and says what was and was not seen."""

import re
import stat
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from roommood.aggregator.report.build import write_report
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.terminal.period import Asked
from roommood.shared.errors import ConfigError
from tests.aggregator.rooms import Rooms
from tests.redis_server import RedisServer

WEEK = Asked(ZoneInfo("Europe/Berlin"), last=timedelta(days=7))


class Cells(HTMLParser):
    """The text of all cells, and every address that the page would ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.asked: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("td", "th"):
            self.cells.append("")
        names = ("src", "href", "action", "data")
        self.asked += [value for name, value in attrs if name in names and value]

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


@pytest.fixture
def report(tmp_path: Path) -> str:
    with RedisServer() as server:
        rooms = Rooms(server)
        for _ in range(60):
            rooms.show("kitchen", "happiness", people=2)
        rooms.show("hall", "sadness")
        rooms.close()
        with RoomStats(server.url) as stats:
            assert write_report(stats, (), WEEK, tmp_path / "week.html") == ["hall", "kitchen"]
    assert stat.S_IMODE((tmp_path / "week.html").stat().st_mode) == 0o600
    return (tmp_path / "week.html").read_text()


def test_rooms_stand_beside_each_other_with_their_figures(report: str) -> None:
    cells = Cells(report).cells
    kitchen = cells.index("kitchen")

    assert cells[kitchen + 1] == "2"
    assert cells[kitchen + 3] == "happiness"
    assert "too little seen yet" in cells  # the hall, once
    assert any(re.fullmatch(r"[0-9.]+ % to 100.0 %", cell) for cell in cells)


def test_what_was_not_observed_is_said(report: str) -> None:
    assert re.search(r"Not observed: 16[789] of 16[89] hours", report)
    assert "Europe/Berlin" in report


def test_the_page_asks_nothing_of_anybody(report: str) -> None:
    assert all(reference.startswith("#") for reference in Cells(report).asked)
    assert not re.search(r"https?:|@import|url\(|<script", report)


def test_a_site_without_a_room_says_so(tmp_path: Path) -> None:
    with RedisServer() as server, RoomStats(server.url) as stats:
        with pytest.raises(ConfigError, match="no room yet"):
            write_report(stats, (), WEEK, tmp_path / "week.html")
        with pytest.raises(ConfigError, match="no room 'attic'"):
            write_report(stats, ("attic",), WEEK, tmp_path / "week.html")
    assert not (tmp_path / "week.html").exists()
