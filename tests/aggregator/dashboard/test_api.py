"""The JSON API against a real Redis, with a reader's rights."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roommood.aggregator.stats.room_stats import RoomStats
from tests.aggregator.dashboard.served import Served, serving
from tests.aggregator.rooms import Rooms
from tests.end_to_end.site import until
from tests.redis_server import RedisServer


def test_without_a_room_the_list_is_empty(dashboard: Served, server: RedisServer) -> None:
    assert until(lambda: dashboard.get("/api/rooms").text == "[]", "others' rooms are gone")


def test_a_room_is_as_the_python_api_says(
    dashboard: Served, server: RedisServer, rooms: Rooms
) -> None:
    rooms.show("salon", "happiness", people=2)
    room = until(lambda: dashboard.room("salon"), "the room is there")
    with RoomStats(server.url) as stats:
        now = stats.live("salon")
    assert room["people"] == now.people == 2.0
    assert room["shares"] == dict(now.shares)
    assert (room["dominant"], room["silent"], room["paused"]) == ("happiness", False, False)
    assert [camera["camera"] for camera in room["cameras"]] == ["door"]


def test_a_silent_room_has_no_figures(dashboard: Served, rooms: Rooms) -> None:
    rooms.show("attic", "happiness")
    until(lambda: dashboard.room("attic"), "the room is there")
    rooms.fall_silent("attic")
    room = until(lambda: (now := dashboard.room("attic")) and now["silent"] and now, "it is silent")
    assert (room["people"], room["shares"], room["dominant"]) == (None, {}, None)
    assert (room["valence"], room["age_s"], room["cameras"]) == (None, None, [])


def test_history_is_as_the_python_api_says(
    dashboard: Served, server: RedisServer, rooms: Rooms
) -> None:
    rooms.show("study", "sadness")
    until(lambda: dashboard.room("study"), "the room is there")
    history = dashboard.json("/api/rooms/study/history?last=10m&bucket=1m")
    with RoomStats(server.url) as stats:
        periods = stats.history("study", timedelta(minutes=10), timedelta(minutes=1))
    assert (history["last_s"], history["bucket_s"], len(history["periods"])) == (600, 60, 10)
    assert sum(each["frames"] for each in history["periods"]) == sum(p.frames for p in periods) == 1
    period = next(each for each in history["periods"] if each["frames"])
    sadness = period["shares"]["sadness"]
    assert sadness["raw"] == 1.0
    # One look is too little, but for a minute that has just begun and was seen whole.
    assert sadness["low"] == (None if period["coverage"] < 1 else 1.0)
    assert sadness["corrected"] is None


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/rooms/nowhere", 404, "no room"),
        ("/api/nowhere", 404, "openapi.json"),
        ("/api/rooms/nowhere/history", 404, "no room"),
        ("/api/rooms/No%20Room", 422, "pattern"),
        ("/api/rooms/porch/history?last=soon", 422, "pattern"),
        ("/api/rooms/porch/history?last=1d&by=1h", 400, "no parameter 'by': give last and bucket"),
        ("/api/rooms/porch/history?last=1d&bucket=10s", 400, "rows"),
        ("/api/rooms/porch/history?last=8d&bucket=7m", 400, "not kept"),
        ("/api/rooms/porch/history?last=99999999d&bucket=99999999d", 400, "not kept"),
        ("/api/rooms/porch/history?last=1h&bucket=7s", 400, "multiple"),
    ],
)
def test_what_is_not_there_is_said(
    dashboard: Served, rooms: Rooms, path: str, status: int, says: str
) -> None:
    rooms.show("porch", "neutral")
    # A snapshot from before this room was shown may still be the newest.
    answer = until(lambda: (a := dashboard.get(path)).status_code == status and a, f"{status}")
    assert says in answer.text


def test_nothing_can_be_changed(dashboard: Served) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/api/rooms", "/api/rooms/kitchen", "/api/health", "/"):
            assert dashboard.http.request(method, path).status_code == 405


def test_health_tells_of_cameras_and_workers(dashboard: Served, rooms: Rooms) -> None:
    reported: dict[str, str | float] = {
        "room": "hall", "rate_hz": 9.5, "captured": 90, "skipped": 9, "picture": "frozen: 4 s",
    }  # fmt: skip
    counts = {"analysed@w1": 70.0, "refused-stale@w1": 2.0, "refused-stale@w2": 1.0}
    rooms.health({"hall-1": {**reported, **counts}}, {"w1": {"address": "tcp://desk:5701"}})
    until(lambda: "hall-1" in dashboard.get("/api/health").text, "the camera is heard")
    until(lambda: "tcp://desk:5701" in dashboard.get("/api/health").text, "the worker is heard")
    health = dashboard.json("/api/health")
    camera = next(known for known in health["cameras"] if known["camera"] == "hall-1")
    assert (camera["rate_hz"], camera["skipped"], camera["picture"]) == (9.5, 9, "frozen: 4 s")
    assert (camera["analysed"], camera["refused"]) == (70, {"stale": 3})
    assert camera["temperature_c"] is None
    worker = next(each for each in health["workers"] if each["worker"] == "w1")
    assert worker["address"] == "tcp://desk:5701"


def test_redis_away_is_said_and_got_over(tmp_path: Path) -> None:
    with RedisServer(appendonly="yes") as server:
        rooms = Rooms(server)
        rooms.show("kitchen", "happiness")
        with serving(tmp_path, server.url) as served:
            until(lambda: served.room("kitchen"), "the room is there")
            server.kill()
            until(lambda: served.get("/api/rooms").status_code == 503, "Redis is away")
            assert served.json("/api/health")["redis"] == "away"
            assert "does not answer" in served.json("/api/health")["why"]
            server.start()
            until(lambda: served.room("kitchen"), "Redis is back")
            assert served.json("/api/health") | {"redis": "answers", "why": ""}
        rooms.close()


def test_a_page_that_does_not_exist_leads_back(dashboard: Served) -> None:
    for path in ("/nowhere", "/room/No%20Such"):
        answer = dashboard.get(path)
        assert answer.status_code == 404
        assert 'href="/"' in answer.text


def test_a_week_is_a_length_of_time(dashboard: Served, rooms: Rooms) -> None:
    rooms.show("study", "sadness")
    until(lambda: dashboard.room("study"), "the room is there")
    assert dashboard.json("/api/rooms/study/history?last=1w&bucket=1h")["last_s"] == 7 * 86_400


def test_without_a_sure_face_nothing_is_dominant(dashboard: Served, rooms: Rooms) -> None:
    rooms.show("empty", "sadness", people=0)
    until(lambda: dashboard.room("empty"), "the room is there")
    assert dashboard.json("/api/rooms/empty")["dominant"] is None
    periods = dashboard.json("/api/rooms/empty/history?last=2m")["periods"]
    assert [period["dominant"] for period in periods] == [None, None]


def test_a_period_is_saved_as_the_report_that_the_command_writes(
    dashboard: Served, rooms: Rooms
) -> None:
    rooms.show("library", "sadness", people=2)
    until(lambda: dashboard.room("library"), "the room is there")
    span = "from=2026-11-20T00:00:00%2B00:00&to=2099-01-01T00:00:00%2B00:00"
    assert dashboard.get(f"/report?room=library&{span}").status_code == 400  # too many hours
    span = "from=0001-01-01T00:00:00%2B14:00&to=0001-01-01T05:00:00%2B14:00"
    assert dashboard.get(f"/report?room=library&{span}").status_code == 400  # not of UTC's years
    now = datetime.now(UTC)
    start = (now - timedelta(days=2)).isoformat().replace("+", "%2B")
    end = now.isoformat().replace("+", "%2B")
    answer = dashboard.get(f"/report?room=library&from={start}&to={end}&zone=Asia/Kolkata")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    assert "sadness" in answer.text
    assert "Times are Asia/Kolkata" in answer.text
    assert "<script" not in answer.text
    for wrong in ("room=nowhere", "room=<b>", "room=library&zone=Moon/Crater"):
        asked = dashboard.get(f"/report?{wrong}&from={start}&to={end}")
        assert asked.status_code == 400
        assert asked.headers["content-type"] == "application/json"
