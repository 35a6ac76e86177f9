"""The reckoning of a large site does what it says: straight lines, bounds, whole years."""

import dataclasses

import pytest

from benchmarks.scale_model import (
    BUSY,
    Line,
    Site,
    Units,
    batches_per_s,
    counting_s,
    needs,
    room_bytes,
)
from roommood.aggregator.redis.keys import RESOLUTIONS

UNITS = Units(
    redis_call_us=Line(100.0, 20.0),
    aggregator_call_us=Line(30.0, 10.0),
    redis_in_call_bytes=Line(1500.0, 300.0),
    redis_out_call_bytes=Line(6.0, 1.0),
    redis_batch_us=0.0,
    aggregator_report_us=0.0,
    aggregator_batch_us=0.0,
    redis_health_us=10.0,
    aggregator_health_us=20.0,
    result_bytes=200.0,
    ack_bytes=5.0,
    bucket_bytes={span.name: Line(1000.0, 100.0) for span in RESOLUTIONS},
    seen_bytes=700.0,
    frame_bytes=40_000.0,
    hello_bytes=200.0,
    worker_frame_ms=7.0,
    worker_empty_ms_per_s=2.0,
    worker_link_ms_per_s=0.1,
    worker_link_kb=32.0,
)
SITE = Site(cameras=100, rooms=20, rate_hz=2.0)


def test_a_line_goes_through_its_points() -> None:
    line = Line.through((1, 120.0), (8, 260.0))
    assert line.at(1) == pytest.approx(120.0)
    assert line.at(8) == pytest.approx(260.0)
    assert line.fixed == pytest.approx(100.0)


def test_twice_the_site_needs_twice_of_all_that_grows_with_it() -> None:
    once = needs(SITE, UNITS)
    two = needs(dataclasses.replace(SITE, cameras=200, rooms=40), UNITS)
    for field in ("worker_cores", "redis_bytes", "redis_in_per_s", "frames_per_s"):
        assert getattr(two, field) == pytest.approx(2 * getattr(once, field))


def test_workers_work_for_people_and_little_for_empty_rooms() -> None:
    mostly_empty = dataclasses.replace(SITE, rate_hz=5.0, people=0.2, empty_rate_hz=2.0)
    needed = needs(mostly_empty, UNITS)
    links_s = 100 * 8 * 0.0001
    assert mostly_empty.results_hz == pytest.approx(100 * (0.2 * 5 + 0.8 * 2))
    assert needed.worker_cores * BUSY == pytest.approx(100 * 0.2 * 5 * 0.007 + 80 * 0.002 + links_s)


def test_results_of_a_room_that_come_together_cost_less() -> None:
    alone, _ = counting_s(SITE, UNITS, workers=1)
    together, _ = counting_s(dataclasses.replace(SITE, per_call=4.0), UNITS, workers=1)
    assert alone == pytest.approx(200 * 120e-6)
    assert together == pytest.approx(50 * 180e-6)


def test_reports_are_batches_of_their_own_until_results_come_by_the_thousand() -> None:
    assert batches_per_s(200.0, 150.0) == 150.0
    assert batches_per_s(2_000.0, 400.0) == 8.0
    assert batches_per_s(2_000.0, 5.0) == 5.0


def test_a_batch_costs_redis_and_a_report_the_aggregator_as_well() -> None:
    units = dataclasses.replace(
        UNITS, redis_batch_us=80.0, aggregator_report_us=25.0, aggregator_batch_us=200.0
    )
    redis_s, aggregator_s = counting_s(SITE, units, workers=1)
    without_redis_s, without_aggregator_s = counting_s(SITE, UNITS, workers=1)
    assert redis_s - without_redis_s == pytest.approx(50 * 80e-6)
    assert aggregator_s - without_aggregator_s == pytest.approx(50 * 225e-6)


def test_a_room_keeps_the_buckets_of_its_spans_and_no_more_after_their_time() -> None:
    still = dataclasses.replace(SITE, rate_hz=0.0)
    buckets = 2161 + 10081 + 9601
    seen = 5 * UNITS.seen_bytes
    assert room_bytes(still, UNITS) == pytest.approx(buckets * 1500.0 + seen)
    hour = room_bytes(still, UNITS, days=1 / 24)
    assert hour == pytest.approx((360 + 60 + 1) * 1500.0 + seen)


def test_a_worker_has_no_more_links_than_there_are_cameras() -> None:
    needed = needs(SITE, UNITS)
    assert needed.links_per_worker == SITE.cameras
    assert needed.worker_cores == pytest.approx((200 * 0.007 + 100 * 8 * 0.0001) / BUSY)
