"""Known pictures through real processes: every frame ends in exactly one count."""

from pathlib import Path

from tests.end_to_end.site import Component, Site, total, until

FACES_OF_ONE_ROUND = 5
FRAMES_OF_ONE_ROUND = 6


def assert_books_agree(site: Site, room: str, camera: Component, workers: list[Component]) -> None:
    """Captured, sent, analysed, committed and counted in Redis tell one story."""
    own = camera.wait_for("camera ended")
    ended = [worker.wait_for("worker ended") for worker in workers]
    assert own["captured"] == own["sent"] + own["skipped"] + own["unchanged"]
    outcomes = {
        name: total(ended, name)
        for name in set().union(*ended)
        if name in ("analysed", "repeated") or name.startswith(("refused-", "lost-"))
    }
    assert own["sent"] == sum(outcomes.values()) + own["lost_with_worker"], (own, outcomes)
    committed = total(ended, "result-committed") + total(ended, "result-duplicate")
    looked = outcomes["analysed"] + outcomes.get("repeated", 0) + total(ended, "held")
    assert looked == committed + total(ended, "unacknowledged")
    assert site.seen_bits(room) == committed


def test_known_pictures_give_the_expected_counts_to_the_frame(site: Site, pictures: Path) -> None:
    reports, frames = site.address(), site.address()
    aggregator = site.aggregator(reports)
    worker = site.worker(frames, reports)
    camera = site.camera("door", "hall", str(pictures), frames, "--rate-hz", "2", "--no-loop")
    assert camera.wait() == 0
    until(lambda: site.frames("hall", "door") == FRAMES_OF_ONE_ROUND, "all frames are counted")
    assert worker.stop() == 0
    assert aggregator.stop() == 0
    assert camera.wait_for("camera ended")["skipped"] == 0
    assert [line["faces"] for line in worker.lines("analysed")] == [1, 0, 1, 2, 0, 1]
    sums = site.buckets("hall")
    intervals = total(worker.lines("started"), "interval_us")
    assert sums["observed_us:door"] == intervals
    assert_books_agree(site, "hall", camera, [worker])


def test_one_hour_one_minute_and_ten_second_buckets_hold_the_same(
    site: Site, pictures: Path
) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    site.worker(frames, reports)
    camera = site.camera("door", "hall", str(pictures), frames, "--rate-hz", "4", "--no-loop")
    assert camera.wait() == 0
    sent = camera.wait_for("camera ended")["sent"]
    until(lambda: site.frames("hall", "door") == sent, "all frames are counted")
    assert site.buckets("hall", "10s") == site.buckets("hall", "1m") == site.buckets("hall", "1h")


def test_a_camera_that_plays_once_ends_although_no_worker_is_there(
    site: Site, pictures: Path
) -> None:
    source = ("lonely", "hall", str(pictures), site.address())
    camera = site.camera(*source, "--rate-hz", "10", "--no-loop")
    assert camera.wait() == 0
    own = camera.wait_for("camera ended")
    assert own["captured"] == own["skipped"] == FRAMES_OF_ONE_ROUND
