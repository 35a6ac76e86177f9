"""The read side: what the counters say, which buckets are read, and what is not made up."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.calendar import Span
from roommood.aggregator.stats.figures import wilson
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.stats.sampling import Sampling
from roommood.shared.errors import BadName, ConfigError, StoreAway
from roommood.shared.protocol.emotions import EXPRESSIONS, VALENCE
from tests.aggregator.made import HOUR_MS, delivery, face, only, result, stream
from tests.redis_server import RedisServer

NOW_MS = HOUR_MS + 600_000
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HAPPY, SAD = face(only("happiness")), face(only("sadness"))


def _counted(store: Store, *deliveries: Delivery) -> None:
    store.commit(deliveries, NOW_MS)
    store.touch_rooms({delivery.result.room: NOW_MS for delivery in deliveries})


@pytest.fixture
def stats(client: redis.Redis) -> RoomStats:
    return RoomStats(client, now_ms=lambda: NOW_MS)


def _seconds_of(
    first: int, count: int, start_ms: float, camera: str = "door", faces: tuple[object, ...] = ()
) -> list[Delivery]:
    """A frame a second, from `start_ms` on."""
    return [
        delivery(
            result(first + n, *faces, camera=camera, interval_us=1_000_000),  # type: ignore[arg-type]
            start_ms + n * 1000,
        )
        for n in range(count)
    ]


def test_rooms_are_listed_with_the_time_of_their_last_result(
    store: Store, stats: RoomStats
) -> None:
    store.touch_rooms({"kitchen": NOW_MS, "hall": HOUR_MS})
    store.pause("hall")
    assert [(room.room, room.paused) for room in stats.rooms()] == [
        ("hall", True),
        ("kitchen", False),
    ]
    assert stats.rooms()[0].last_seen == datetime.fromtimestamp(HOUR_MS / 1000, UTC)


def test_a_room_that_is_not_known_is_refused_with_the_names_of_those_that_are(
    store: Store, stats: RoomStats
) -> None:
    store.touch_rooms({"kitchen": NOW_MS, "hall": NOW_MS})
    asked: list[Callable[[], object]] = [
        lambda: stats.live("kichen"),
        lambda: stats.summary("kichen", HOUR),
        lambda: stats.history("kichen", HOUR, MINUTE),
    ]
    for ask in asked:
        with pytest.raises(ConfigError, match=r"'kichen'.*hall, kitchen"):
            ask()
    with pytest.raises(BadName):
        stats.live("Kitchen!")


def test_a_minute_is_summed_up(store: Store, stats: RoomStats) -> None:
    start_ms = NOW_MS - 60_000
    _counted(
        store,
        *_seconds_of(0, 30, start_ms, faces=(HAPPY, SAD)),
        *_seconds_of(30, 15, start_ms + 30_000, faces=(HAPPY, face(sure=False))),
    )
    minute = stats.summary("kitchen", MINUTE)
    assert minute.frames == 45
    assert minute.coverage == pytest.approx(0.75)
    assert minute.people == pytest.approx(2.0)
    assert minute.shares["happiness"].raw == pytest.approx(45 / 75)
    assert minute.shares["sadness"].raw == pytest.approx(30 / 75)
    assert minute.dominant == "happiness"
    assert minute.sure_share == pytest.approx(75 / 90)
    assert minute.suppressed_share == 0.0
    assert minute.face_s == pytest.approx(90.0)
    pleasure = dict(zip(EXPRESSIONS, VALENCE, strict=True))
    expected = 0.6 * pleasure["happiness"] + 0.4 * pleasure["sadness"]
    assert minute.valence == pytest.approx(expected)
    assert minute.end - minute.start == MINUTE


def test_people_and_coverage_come_from_the_best_cameras(store: Store, stats: RoomStats) -> None:
    start_ms = NOW_MS - 100_000
    _counted(
        store,
        *_seconds_of(0, 100, start_ms, "door", (HAPPY,)),
        *_seconds_of(0, 50, start_ms, "window", (HAPPY, HAPPY)),
        *_seconds_of(0, 9, start_ms, "glimpse", (HAPPY,) * 5),
    )
    period = stats.summary("kitchen", timedelta(seconds=100))
    assert period.coverage == pytest.approx(1.0)
    assert period.people == pytest.approx(2.0)
    assert [camera.camera for camera in period.cameras] == ["door", "glimpse", "window"]
    assert period.cameras[1].people == pytest.approx(5.0)
    assert period.cameras[2].coverage == pytest.approx(0.5)


def test_frames_with_too_few_faces_show_as_suppressed(
    server: RedisServer, stats: RoomStats
) -> None:
    store = Store(server.url, min_people=2)
    frames = _seconds_of(0, 10, NOW_MS - 20_000, faces=(HAPPY,))
    _counted(store, *frames)
    period = stats.summary("kitchen", MINUTE)
    assert period.suppressed_share == 1.0
    assert period.sure_share is None
    assert period.shares == {}
    assert period.people == pytest.approx(1.0)


def test_what_was_not_observed_is_empty_and_never_an_old_value(
    store: Store, stats: RoomStats
) -> None:
    _counted(store, *_seconds_of(0, 60, NOW_MS - 180_000, faces=(HAPPY,)))
    rows = stats.history("kitchen", timedelta(minutes=5), MINUTE)
    assert [row.frames for row in rows] == [0, 60, 0, 0, 0]
    for row in (rows[0], *rows[2:]):
        assert (row.coverage, row.people, row.valence, row.dominant) == (0.0, None, None, "")
        assert row.shares == {}
        assert row.cameras == ()


def test_history_rows_follow_each_other_on_the_grid_and_end_with_the_one_under_way(
    store: Store, client: redis.Redis
) -> None:
    stats = RoomStats(client, now_ms=lambda: NOW_MS + 15_000)
    _counted(store, *_seconds_of(0, 15, NOW_MS, faces=(HAPPY,)))
    rows = stats.history("kitchen", HOUR, MINUTE)
    assert len(rows) == 60
    assert all(a.end == b.start for a, b in pairwise(rows))
    assert rows[-1].start == datetime.fromtimestamp(NOW_MS / 1000, UTC)
    assert rows[-1].coverage == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("last", "by"),
    [(timedelta(minutes=5), timedelta(seconds=10)), (timedelta(minutes=30), 5 * MINUTE),
     (12 * HOUR, 10 * MINUTE), (2 * DAY, HOUR), (10 * DAY, HOUR), (30 * DAY, DAY)],
)  # fmt: skip
def test_every_history_adds_up_to_the_same_total(
    store: Store, stats: RoomStats, last: timedelta, by: timedelta
) -> None:
    deliveries = [counted for counted in stream(21, 80) if counted.captured_ms > NOW_MS - 300_000]
    deliveries += _seconds_of(10_000, 250, NOW_MS - 290_000)
    _counted(store, *deliveries)
    rows = stats.history("kitchen", last, by)
    assert sum(row.frames for row in rows) == len(deliveries)
    assert stats.summary("kitchen", last).frames == len(deliveries)


@pytest.mark.parametrize(
    ("last", "by", "why"),
    [
        (HOUR, timedelta(seconds=15), "multiple of 10s"),
        (7 * HOUR, timedelta(seconds=10), "not kept"),
        (8 * DAY, MINUTE, "not kept"),
        (401 * DAY, HOUR, "not kept"),
        (HOUR, 401 * DAY, "not kept"),
        (HOUR, 99_999_999 * DAY, "not kept"),
        (HOUR, timedelta(0), "whole number of seconds"),
        (timedelta(seconds=0.5), MINUTE, "whole number of seconds"),
    ],
)
def test_a_period_that_is_not_kept_is_refused_with_the_reason(
    store: Store, stats: RoomStats, last: timedelta, by: timedelta, why: str
) -> None:
    store.touch_rooms({"kitchen": NOW_MS})
    with pytest.raises(ConfigError, match=why):
        stats.history("kitchen", last, by)


def test_summaries_reach_back_as_far_as_the_hours_are_kept(store: Store, stats: RoomStats) -> None:
    store.touch_rooms({"kitchen": NOW_MS})
    assert stats.summary("kitchen", 400 * DAY).frames == 0
    with pytest.raises(ConfigError, match="not kept"):
        stats.summary("kitchen", 401 * DAY)


def test_intervals_narrow_with_face_time_and_hold_the_share(store: Store, stats: RoomStats) -> None:
    start_ms = NOW_MS - 300_000
    _counted(store, *_seconds_of(0, 40, start_ms, faces=(HAPPY, SAD)))
    short = stats.summary("kitchen", timedelta(minutes=5)).shares["happiness"]
    _counted(store, *_seconds_of(40, 200, start_ms + 40_000, faces=(HAPPY, SAD)))
    long = stats.summary("kitchen", timedelta(minutes=5)).shares["happiness"]
    assert short.low is not None
    assert long.low is not None
    assert long.high is not None
    assert short.high is not None
    assert short.low < long.low < 0.5 < long.high < short.high
    assert long.corrected is None


def test_of_a_period_that_was_seen_whole_nothing_is_left_to_chance(
    store: Store, stats: RoomStats
) -> None:
    _counted(store, *_seconds_of(0, 300, NOW_MS - 300_000, faces=(HAPPY, SAD)))
    happiness = stats.summary("kitchen", timedelta(minutes=5)).shares["happiness"]
    assert happiness.low == happiness.raw == happiness.high == pytest.approx(0.5)


def test_too_few_looks_give_no_interval(store: Store, stats: RoomStats) -> None:
    _counted(store, *_seconds_of(0, 20, NOW_MS - 300_000, faces=(HAPPY,)))
    period = stats.summary("kitchen", timedelta(minutes=5))
    assert period.looks == pytest.approx(2.0)
    assert (period.shares["happiness"].low, period.shares["happiness"].high) == (None, None)
    assert period.shares["happiness"].raw > 0.9


def test_several_cameras_of_one_face_are_one_look(store: Store, stats: RoomStats) -> None:
    for camera in ("door", "window", "shelf"):
        _counted(store, *_seconds_of(0, 60, NOW_MS - 300_000, faces=(HAPPY,), camera=camera))
    assert stats.summary("kitchen", timedelta(minutes=5)).looks == pytest.approx(6.0)
    store.set_views("kitchen", apart=True)
    assert stats.summary("kitchen", timedelta(minutes=5)).looks == pytest.approx(18.0)


@pytest.mark.parametrize("minute", [1, 29, 31, 59])
def test_a_span_up_to_now_ends_with_the_hour_under_way(
    store: Store, client: redis.Redis, minute: int
) -> None:
    now_ms = HOUR_MS + minute * 60_000.0
    store.commit([delivery(result(1, HAPPY, interval_us=1_000_000), now_ms - 1_000)], now_ms)
    store.touch_rooms({"kitchen": now_ms})
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    span = Span(now - timedelta(days=8), now)
    (period,) = RoomStats(client, now_ms=lambda: now_ms).periods_of("kitchen", [span])

    assert period.frames == 1


def test_cameras_that_see_different_people_add_up(store: Store, stats: RoomStats) -> None:
    for camera, faces in (("door", (HAPPY,)), ("window", (HAPPY, SAD))):
        _counted(store, *_seconds_of(0, 60, NOW_MS - 60_000, faces=faces, camera=camera))
    assert stats.summary("kitchen", timedelta(minutes=1)).people == pytest.approx(2.0)
    store.set_views("kitchen", apart=True)
    assert stats.summary("kitchen", timedelta(minutes=1)).people == pytest.approx(3.0)
    assert stats.live("kitchen").people == pytest.approx(3.0, abs=0.1)
    store.set_views("kitchen", apart=False)
    assert stats.live("kitchen").people == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("share", "observations", "low", "high"),
    [(0.5, 10, 0.2366, 0.7634), (0.0, 10, 0.0, 0.2775), (1.0, 10, 0.7225, 1.0)],
)
def test_the_interval_is_wilsons(
    share: float, observations: float, low: float, high: float
) -> None:
    interval = wilson(share, Sampling(observations, 1.0))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_the_live_room_is_read_back(store: Store, stats: RoomStats) -> None:
    _counted(store, *_seconds_of(0, 10, NOW_MS - 10_000, "door", (HAPPY, HAPPY)))
    now = stats.live("kitchen")
    assert not now.silent
    assert now.people == pytest.approx(2.0)
    assert now.shares["happiness"] == 1.0
    assert now.dominant == "happiness"
    assert now.age_s == pytest.approx(1.0, abs=0.5)
    assert [(camera.camera, camera.people) for camera in now.cameras] == [("door", 2.0)]
    assert now.cameras[0].frames_per_s == pytest.approx(1.0, rel=0.01)


def test_a_silent_room_has_no_figures(store: Store, stats: RoomStats, client: redis.Redis) -> None:
    _counted(store, *_seconds_of(0, 10, NOW_MS - 10_000, faces=(HAPPY,)))
    client.pexpire(redis_keys.live("kitchen"), 500)  # 9.5 s without a result
    silent = stats.live("kitchen")
    assert silent.silent
    assert (silent.people, silent.dominant, silent.shares) == (None, "", {})
    client.delete(redis_keys.live("kitchen"))
    assert stats.live_rooms() == [silent]


def test_a_room_in_which_nobody_is_seen_has_people_but_no_mood(
    store: Store, stats: RoomStats
) -> None:
    _counted(store, *_seconds_of(0, 3, NOW_MS - 3_000))
    now = stats.live("kitchen")
    assert (now.people, now.dominant, now.valence, now.sure_share) == (0.0, "", None, None)


def test_a_readers_rights_suffice_and_do_not_suffice_to_write(
    server: RedisServer, store: Store, client: redis.Redis, tmp_path: Path
) -> None:
    _counted(store, *_seconds_of(0, 10, NOW_MS - 10_000, faces=(HAPPY,)))
    password = tmp_path / "password"
    password.write_text("pw")
    password.chmod(0o600)
    client.acl_setuser(
        "reader",
        enabled=True,
        reset=True,
        reset_channels=True,
        passwords=["+pw"],
        keys=["roommood:*"],
        channels=["roommood:*"],
        categories=["+@read", "+@connection", "-@dangerous"],
        commands=["+subscribe", "+psubscribe"],
    )
    url = server.url.replace("unix://", "unix://reader@")
    with RoomStats(url, password, now_ms=lambda: NOW_MS) as stats:
        assert stats.rooms()
        assert stats.live("kitchen").people == 1.0
        assert len(stats.live_rooms()) == 1
        assert stats.history("kitchen", HOUR, MINUTE)[-2].frames == 10
        assert stats.summary("kitchen", HOUR).frames == 10
    writer = Store(url, password)
    report = writer.commit([delivery(result(99))], NOW_MS)
    assert "does not let us in" in str(report.errors["kitchen"])


def test_a_redis_that_is_down_is_store_away() -> None:
    with pytest.raises(StoreAway, match="does not answer"):
        RoomStats("unix:///nowhere/redis.sock").rooms()


def test_a_client_that_answers_in_bytes_is_refused_rather_than_believed(
    server: RedisServer, store: Store
) -> None:
    """Its names would be bytes, and each known room one of which nothing is known."""
    _counted(store, delivery(result(1, HAPPY), NOW_MS))
    in_bytes = redis.Redis.from_url(server.url)
    assert in_bytes.zrange(redis_keys.ROOMS, 0, -1) == [b"kitchen"]
    with pytest.raises(ConfigError, match="make it with decode_responses=True"):
        RoomStats(in_bytes)
    with pytest.raises(ConfigError, match="asyncio"):
        RoomStats(redis.asyncio.Redis.from_url(server.url, decode_responses=True))


def test_what_is_no_redis_no_room_and_no_span_is_told_as_that(
    server: RedisServer, store: Store
) -> None:
    _counted(store, delivery(result(1, HAPPY), NOW_MS))
    with pytest.raises(ConfigError, match="None is no Redis"):
        RoomStats(None)
    nothing: Any = None
    with RoomStats(server.url, now_ms=lambda: NOW_MS) as stats:
        with pytest.raises(ConfigError, match="None is not a room name"):
            stats.live(nothing)
        with pytest.raises(ConfigError, match=r"Span\(start, end\)"):
            stats.periods_of("kitchen", [nothing])
        now = datetime.fromtimestamp(NOW_MS / 1000, UTC)
        with pytest.raises(ConfigError, match="ends before it begins"):
            stats.periods_of("kitchen", [Span(now, now - timedelta(hours=1))])
        naive = now.replace(tzinfo=None)
        with pytest.raises(ConfigError, match="with their zone"):
            stats.periods_of("kitchen", [Span(naive - timedelta(hours=1), naive)])


def test_the_file_of_a_password_may_be_named_by_a_text(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    client.acl_setuser("looker", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@read"])
    file = tmp_path / "password"
    file.write_text("pw\n")
    file.chmod(0o600)
    url = server.url.replace("unix://", "unix://looker@")
    with RoomStats(url, password_file=str(file)) as stats:
        assert stats.rooms() == []


def test_a_time_that_is_a_number_is_refused(store: Store, stats: RoomStats) -> None:
    _counted(store, delivery(result(1, HAPPY), NOW_MS))
    with pytest.raises(ConfigError, match=r"3600: give a timedelta, such as timedelta\(hours=1\)"):
        stats.summary("kitchen", 3600)  # type: ignore[arg-type]
