"""Which changes are told: each once, and once when it is over."""

from datetime import UTC, datetime

from roommood.aggregator.notify.watch import Event, Fault, Look, Watch, look_at, redis_away
from roommood.aggregator.stats.health import CameraHealth, WorkerHealth
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import KnownRoom
from roommood.aggregator.stats.site import Site

WELL = Look(well=frozenset({"k-1", "Redis"}))
SILENT = Look({"k-1": Fault("k-1", "kitchen", "silent: no worker has heard of it")}, WELL.well)
FROZEN = Look({"k-1": Fault("k-1", "kitchen", "frozen: 12 s")}, WELL.well)
NOBODY = Look()


def notified(*looks: Look, hold_s: float = 30.0) -> list[tuple[int, str, str]]:
    """Second, kind and text of what a watch tells of one look each second."""
    watch = Watch(hold_s, hold_s)
    return [
        (second, event.kind, event.text.partition(":")[0])
        for second, look in enumerate(looks)
        for event in watch.see(look, float(second))
    ]


def shows(expression: str) -> Look:
    return Look(dominant={"kitchen": expression})


def test_what_is_wrong_is_told_once_and_once_when_it_is_over() -> None:
    looks = [WELL] * 10 + [SILENT] * 200 + [WELL] * 200

    assert notified(*looks) == [(40, "began", "silent"), (240, "over", "silent")]


def test_how_long_it_lasted_is_told_from_when_it_was_first_seen() -> None:
    watch = Watch(30.0, 30.0)
    events: list[Event] = []
    for second in range(300):
        events += watch.see(SILENT if 10 <= second < 110 else WELL, float(second))

    assert events[-1].lasted_s == 100.0


def test_what_comes_and_goes_faster_than_the_hold_is_not_told() -> None:
    assert notified(*([SILENT] * 20 + [WELL] * 2) * 20) == []


def test_what_flaps_after_it_was_told_is_neither_over_nor_told_again() -> None:
    assert notified(*[SILENT] * 31, *([WELL] * 20 + [SILENT] * 20) * 10) == [
        (30, "began", "silent")
    ]


def test_what_comes_again_and_again_all_day_is_told_a_few_times_and_its_end_at_last() -> None:
    flapping = ([SILENT] * 40 + [WELL] * 40) * 200
    events = notified(*flapping, *[WELL] * 4_000)
    assert [kind for _, kind, _ in events] == ["began", "over", "began", "over"]
    assert events[2][0] < 200
    assert events[3][0] == len(flapping) - 40 + 60, "it is well for twice as long"


def test_what_was_told_again_and_again_yesterday_ends_as_fast_as_the_first() -> None:
    watch = Watch(30.0, 30.0)
    events: list[tuple[float, int, str]] = []
    for began_s in (0.0, 200.0, 90_000.0):
        for second in range(150):
            look = SILENT if second < 31 else WELL
            events += [(began_s, second, e.kind) for e in watch.see(look, began_s + second)]
    assert [second for _, second, kind in events if kind == "over"] == [61, 91, 61]


def test_a_start_tells_nothing_at_once_and_then_what_still_is_wrong() -> None:
    assert notified(*[SILENT] * 20, *[WELL] * 100) == []
    assert notified(*[SILENT] * 100) == [(30, "began", "silent")]


def test_what_turns_into_another_fault_is_told_with_one_end() -> None:
    assert notified(*[FROZEN] * 100, *[SILENT] * 100, *[WELL] * 100) == [
        (30, "began", "frozen"),
        (130, "began", "silent"),
        (230, "over", "silent"),
    ]


def test_a_sentence_that_changes_its_numbers_is_the_same_fault() -> None:
    looks = [Look({"k-1": Fault("k-1", "kitchen", f"frozen: {n} s")}) for n in range(100)]

    assert notified(*looks) == [(30, "began", "frozen")]


def test_while_redis_is_away_nothing_else_is_told_and_nothing_is_over() -> None:
    away = redis_away("no answer")
    looks = [SILENT] * 40 + [away] * 100 + [SILENT] * 100 + [WELL] * 100

    assert notified(*looks) == [
        (30, "began", "silent"),
        (70, "began", "away"),
        (170, "over", "away"),
        (270, "over", "silent"),
    ]


def test_what_was_seen_only_before_redis_went_begins_anew() -> None:
    looks = [SILENT] * 20 + [redis_away("no answer")] * 20 + [SILENT] * 29 + [WELL] * 100

    assert notified(*looks) == []


def test_a_camera_that_was_taken_away_is_not_told_as_well_again() -> None:
    assert notified(*[SILENT] * 40, *[NOBODY] * 100) == [(30, "began", "silent")]


def test_an_expression_is_told_once_it_has_stayed_and_the_first_never() -> None:
    looks = [shows("happiness")] * 60 + [shows("sadness")] * 10 + [shows("happiness")] * 60

    assert notified(*looks) == []
    assert notified(*looks, *[shows("sadness")] * 60) == [
        (160, "expression", "sadness is shown most, after happiness")
    ]


def test_an_empty_room_is_no_change_and_starts_the_wait_anew() -> None:
    gap = [shows("sadness")] * 20 + [NOBODY] * 5
    assert notified(*[shows("happiness")] * 60, *gap * 10) == []
    assert notified(*[shows("happiness")] * 60, *[NOBODY] * 99, *[shows("happiness")] * 60) == []


def site(*cameras: CameraHealth, workers: float = 0.5, paused: bool = False) -> Site:
    seen = datetime(2026, 11, 16, tzinfo=UTC)
    return Site(
        [KnownRoom("kitchen", seen, paused)],
        [RoomNow("kitchen", shares={"happiness": 1.0}, dominant="happiness")],
        cameras,
        [WorkerHealth(worker="w1", silent_s=workers, address="tcp://desk:5701")],
    )


def camera(silent_s: float = 0.5, picture: str = "ok", source: str = "ok") -> CameraHealth:
    return CameraHealth(
        camera="k-1", silent_s=silent_s, room="kitchen", picture=picture, source=source
    )


def test_a_site_that_is_well_has_its_cameras_workers_and_redis_as_well() -> None:
    look = look_at(site(camera()))

    assert look.wrong == {}
    assert look.well == {"k-1", "desk:5701", "workers", "Redis"}
    assert look.dominant == {"kitchen": "happiness"}


def test_silent_frozen_and_black_cameras_and_silent_workers_are_wrong() -> None:
    for silent in (camera(silent_s=30.0), camera(picture="frozen"), camera(picture="black")):
        assert look_at(site(silent)).wrong.keys() == {"k-1"}
    look = look_at(site(camera(), workers=30.0))
    assert look.wrong.keys() == {"workers"}
    assert look.well == {"k-1", "Redis"}


def test_a_camera_that_is_closed_on_purpose_is_neither_wrong_nor_well() -> None:
    for closed in (
        site(camera(source="paused")),
        site(camera(source="quiet")),
        site(camera(silent_s=30.0), paused=True),
    ):
        look = look_at(closed)
        assert "k-1" not in {*look.wrong, *look.well, *look.unsure}
    assert look_at(site(camera(source="starting"))).unsure == {"k-1"}


def test_a_lost_part_of_a_cluster_is_wrong_and_makes_no_camera_well() -> None:
    whole = site(camera())
    look = look_at(Site(whole.rooms, whole.now, [], whole.workers, away=frozenset({"node:7001"})))

    assert "node:7001" in look.wrong["Redis"].what
    assert not look.is_whole
