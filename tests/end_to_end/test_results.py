"""Aggregators and Redis come and go; what was analysed is counted exactly once."""

import signal
from collections.abc import Callable

from tests.end_to_end.site import (
    Component,
    Site,
    acknowledged,
    assert_counted_exactly_once,
    until,
)


def settle(site: Site, camera: Component, workers: list[Component]) -> int:
    """Ends cameras and workers in the order of the flow; returns the number of results."""
    assert camera.stop() == 0
    for worker in workers:
        assert worker.stop() == 0
        assert worker.wait_for("worker ended")["unacknowledged"] == 0
    results = {
        (line["session"], line["seq"]) for worker in workers for line in worker.lines("analysed")
    }
    return len(results)


def test_results_survive_the_death_of_the_aggregator(site: Site) -> None:
    reports, frames = site.address(), site.address()
    first = site.aggregator(reports)
    worker = site.worker(frames, reports, "--drain-s", "20")
    camera = site.camera("sofa", "den", "simulated", frames, "--rate-hz", "20")
    until(lambda: len(acknowledged([worker])) > 10, "results are acknowledged")
    first.kill()
    analysed = len(worker.lines("analysed"))
    until(lambda: len(worker.lines("analysed")) > analysed + 20, "analysis goes on without it")
    second = site.aggregator(reports)
    results = settle(site, camera, [worker])
    assert assert_counted_exactly_once(site, "den", acknowledged([worker])) == results
    assert second.stop() == 0


def test_results_survive_redis_killed_and_away_while_sixty_results_wait(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(appendonly="yes", appendfsync="always")
    reports, frames = site.address(), site.address()
    aggregator = site.aggregator(reports)
    worker = site.worker(frames, reports, "--drain-s", "20")
    camera = site.camera("sofa", "den", "simulated", frames, "--rate-hz", "10")
    until(lambda: len(acknowledged([worker])) > 10, "results are acknowledged")
    site.redis.kill()
    known = len(acknowledged([worker]))
    held = len(worker.lines("analysed")) + 60
    until(lambda: len(worker.lines("analysed")) >= held, "60 results wait")
    assert len(acknowledged([worker])) <= known + 1, "nothing is acknowledged without Redis"
    site.redis.start()
    results = settle(site, camera, [worker])
    assert assert_counted_exactly_once(site, "den", acknowledged([worker])) == results
    assert aggregator.stop() == 0
    assert len(aggregator.lines("redis lost")) == 1
    assert len(aggregator.lines("redis back")) == 1


def test_a_result_resent_to_a_second_aggregator_is_counted_once(site: Site) -> None:
    first_at, second_at, frames = site.address(), site.address(), site.address()
    first = site.aggregator(first_at)
    second = site.aggregator(second_at)
    worker = site.worker(frames, f"{first_at} {second_at}", "--drain-s", "20")
    camera = site.camera("sofa", "den", "simulated", frames, "--rate-hz", "20")
    until(lambda: len(acknowledged([worker])) > 10, "results are acknowledged")
    first.signal(signal.SIGSTOP)
    known = len(acknowledged([worker]))
    until(lambda: len(acknowledged([worker])) > known + 20, "the second aggregator serves")
    first.signal(signal.SIGCONT)
    results = settle(site, camera, [worker])
    assert [first.stop(), second.stop()] == [0, 0]
    assert assert_counted_exactly_once(site, "den", acknowledged([worker])) == results
    duplicates = [
        aggregator.wait_for("aggregator ended").get("duplicate", 0)
        for aggregator in (first, second)
    ]
    assert sum(duplicates) > 0, "nothing was resent: the test showed nothing"


def test_an_aggregator_started_before_redis_serves_once_redis_is_there(site: Site) -> None:
    site.redis.stop()
    reports, frames = site.address(), site.address()
    aggregator = site.start_aggregator(reports)
    aggregator.wait_for("redis lost")
    worker = site.worker(frames, reports)
    camera = site.camera("sofa", "den", "simulated", frames)
    until(lambda: len(worker.lines("analysed")) > 5, "frames are analysed meanwhile")
    aggregator.wait_for("redis lost")
    site.redis.start()
    until(lambda: len(acknowledged([worker])) > 5, "results are acknowledged")
    results = settle(site, camera, [worker])
    assert assert_counted_exactly_once(site, "den", acknowledged([worker])) == results
