"""Workers come, go and are killed; cameras carry on, and nothing counted is lost or doubled."""

import re
import signal
import urllib.request

import pytest

from tests.end_to_end.site import (
    Component,
    Site,
    acknowledged,
    assert_counted_exactly_once,
    numbers,
    quantile,
    until,
)
from tests.ports import free_port


def analysed(worker: Component) -> int:
    return len(worker.lines("analysed"))


def skipped(metrics_port: int) -> int:
    """Frames that a camera has skipped so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=20) as answer:
        line = re.search(rb"frames_skipped_total ([0-9.]+)", answer.read())
    assert line, "a camera tells what it skips"
    return int(float(line[1]))


def test_a_camera_that_knows_one_worker_uses_another(site: Site) -> None:
    reports, first, second = site.address(), site.address(), site.address()
    site.aggregator(reports)
    known = site.worker(first, reports, "--min-frame-ms", "150")
    site.camera("sofa", "den", "simulated", first, "--rate-hz", "20")
    until(lambda: analysed(known) > 3, "the known worker analyses")
    added = site.worker(second, reports)
    until(lambda: analysed(added) > 3, "the added worker gets frames")


def test_a_killed_worker_costs_nothing_that_was_acknowledged(site: Site) -> None:
    reports, first, second = site.address(), site.address(), site.address()
    aggregator = site.aggregator(reports)
    victim = site.worker(first, reports)
    survivor = site.worker(second, reports)
    camera = site.camera("sofa", "den", "simulated", f"{first} {second}", "--rate-hz", "20")
    until(lambda: analysed(victim) > 5 and analysed(survivor) > 5, "both workers analyse")
    victim.kill()
    before = analysed(survivor)
    until(lambda: analysed(survivor) > before + 5, "the camera carries on")
    successor = site.worker(first, reports)
    until(lambda: analysed(successor) > 5, "the restarted worker gets frames")
    workers = [victim, survivor, successor]
    assert camera.stop() == 0
    assert [survivor.stop(), successor.stop(), aggregator.stop()] == [0, 0, 0]
    counted = assert_counted_exactly_once(site, "den", acknowledged(workers))
    assert counted >= len(acknowledged(workers)) > 0
    frames = [
        (line["session"], line["seq"]) for worker in workers for line in worker.lines("analysed")
    ]
    assert len(frames) == len(set(frames)), "a frame was analysed twice"


def test_a_worker_back_at_its_address_gets_fresh_frames_and_none_from_before(site: Site) -> None:
    reports, address, port = site.address(), site.address(), free_port()
    site.aggregator(reports)
    first = site.worker(address, reports)
    often = ("--rate-hz", "30", "--metrics-port", str(port))
    camera = site.camera("sofa", "den", "simulated", address, *often)
    until(lambda: analysed(first) > 5, "the worker analyses")
    last_seq = first.lines("started")[-1]["seq"]
    first.kill()
    enough = skipped(port) + 60
    until(lambda: skipped(port) > enough, "it skips the frames of two seconds")
    second = site.worker(address, reports)
    until(lambda: analysed(second) > 10, "frames come again")
    started = second.lines("started")
    assert max(numbers(started, "age_ms")) < 2_000
    assert min(numbers(started, "seq")) > last_seq
    assert camera.stop() == 0
    own = camera.wait_for("camera ended")
    assert own["captured"] == own["sent"] + own["skipped"] + own["unchanged"]
    assert own["skipped"] > 20, "a camera without a worker skips, it does not queue"


def test_an_overloaded_worker_analyses_only_fresh_frames(site: Site) -> None:
    reports, address = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(address, reports, "--min-frame-ms", "200")
    site.camera("sofa", "den", "simulated", address, "--rate-hz", "30")
    until(lambda: len(worker.lines("started")) >= 40, "40 frames are begun")
    ages = numbers(worker.lines("started"), "age_ms")
    # What queues would be seven seconds behind by now; the true figure is in benchmarks/.
    assert quantile(ages, 0.95) < 3_000


def test_overloaded_cameras_get_equal_shares_and_a_slow_one_idles_nobody(site: Site) -> None:
    reports, address = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(address, reports, "--min-frame-ms", "100")
    for name in ("a", "b", "c"):
        site.camera(name, "den", "simulated", address, "--rate-hz", "20")
    site.camera("slow", "den", "simulated", address, "--rate-hz", "1")
    until(lambda: len(worker.lines("started")) >= 30, "the site has settled")
    begin = len(worker.lines("started"))
    until(lambda: len(worker.lines("started")) >= begin + 60, "60 more frames are begun")
    names = [line["camera"] for line in worker.lines("started")[begin:]]
    fast = [names.count(name) for name in ("a", "b", "c")]
    assert max(fast) - min(fast) <= 6, fast
    assert names.count("slow") >= 2


def test_two_unequal_workers_share_a_camera_and_no_frame_goes_to_both(site: Site) -> None:
    reports, quick, slow = site.address(), site.address(), site.address()
    site.aggregator(reports)
    workers = [
        site.worker(quick, reports, "--min-frame-ms", "100"),
        site.worker(slow, reports, "--min-frame-ms", "400"),
    ]
    site.camera("sofa", "den", "simulated", f"{quick} {slow}", "--rate-hz", "30")
    until(lambda: all(analysed(worker) > 5 for worker in workers), "both analyse")
    until(lambda: sum(analysed(worker) for worker in workers) >= 60, "60 frames are analysed")
    assert analysed(workers[0]) > analysed(workers[1])
    frames = [(line["session"], line["seq"]) for each in workers for line in each.lines("started")]
    assert len(frames) == len(set(frames))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_finishes_what_it_has(
    site: Site, number: signal.Signals
) -> None:
    reports, address = site.address(), site.address()
    aggregator = site.aggregator(reports)
    worker = site.worker(address, reports)
    camera = site.camera("sofa", "den", "simulated", address, "--rate-hz", "20")
    until(lambda: analysed(worker) > 10, "the worker analyses")
    worker.signal(number)
    assert worker.wait() == 0
    ended = worker.wait_for("worker ended")
    assert ended["unacknowledged"] == 0
    assert ended["analysed"] == ended["result-committed"]
    assert camera.stop() == 0
    assert aggregator.stop() == 0
    own = camera.wait_for("camera ended")
    refused = sum(n for name, n in ended.items() if name.startswith("refused-"))
    lost = ended.get("lost-on-wire", 0) + own["lost_with_worker"]
    assert own["sent"] == ended["analysed"] + refused + lost


def test_a_second_signal_forces_the_end(site: Site) -> None:
    reports, address = site.address(), site.address()
    worker = site.worker(address, reports, "--drain-s", "60")
    camera = site.camera("sofa", "den", "simulated", address)
    until(lambda: analysed(worker) > 3, "results wait for an aggregator that is not there")
    worker.signal(signal.SIGTERM)
    worker.wait_for("draining")
    worker.signal(signal.SIGTERM)
    assert worker.wait(10) == 128 + signal.SIGTERM
    assert camera.stop() in (0, 3)
