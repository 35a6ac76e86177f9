"""What a person asks of a running site: pause, resume, forget; and what they may see of it."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial

import pytest

from tests.end_to_end.site import Component, Site, select_for, until
from tests.ports import free_port


def roommood(site: Site, *arguments: str) -> str:
    code = "from roommood.deploy.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments, "--redis", site.redis.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_paused_room_closes_its_cameras_until_it_is_resumed(site: Site) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(frames, reports)
    paused = site.camera("sofa", "den", "simulated", frames)
    other = site.camera("door", "hall", "simulated", frames)
    until(lambda: site.frames("den", "sofa") > 3, "frames are counted")
    roommood(site, "pause", "den")
    paused.wait_for("paused")
    count = site.frames("hall", "door")
    until(lambda: site.frames("hall", "door") > count + 5, "the other room goes on")
    still = len([line for line in worker.lines("analysed") if line["camera"] == "sofa"])
    until(lambda: site.frames("hall", "door") > count + 15, "time passes")
    assert still == len([line for line in worker.lines("analysed") if line["camera"] == "sofa"])
    roommood(site, "resume", "den")
    paused.wait_for("resumed")
    before = site.frames("den", "sofa")
    until(lambda: site.frames("den", "sofa") > before, "frames are counted again")
    assert not other.lines("paused")


def test_a_camera_that_is_paused_by_itself_counts_nothing_and_its_neighbour_goes_on(
    site: Site,
) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(frames, reports)
    sofa = site.camera("sofa", "den", "simulated", frames)
    shelf = site.camera("shelf", "den", "simulated", frames)
    until(lambda: site.frames("den", "sofa") > 3 and site.frames("den", "shelf") > 3, "counted")
    roommood(site, "pause", "den", "--camera", "sofa")
    sofa.wait_for("paused")

    def analysed() -> int:
        return len([line for line in worker.lines("analysed") if line["camera"] == "sofa"])

    others = site.frames("den", "shelf")
    until(lambda: site.frames("den", "shelf") > others + 5, "what was under way is analysed")
    until(lambda: site.frames("den", "sofa") >= analysed(), "and counted")
    still, at_first = analysed(), site.frames("den", "sofa")
    until(lambda: site.frames("den", "shelf") > others + 15, "the other camera goes on")
    assert (analysed(), site.frames("den", "sofa")) == (still, at_first)
    assert not shelf.lines("paused")

    roommood(site, "resume", "den", "--camera", "sofa")
    sofa.wait_for("resumed")
    until(lambda: site.frames("den", "sofa") > at_first, "frames are counted again")


def test_in_the_quiet_hours_of_a_room_its_cameras_are_closed(site: Site) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(frames, reports)
    closed = site.camera("sofa", "den", "simulated", frames)
    site.camera("door", "hall", "simulated", frames)
    until(lambda: site.frames("den", "sofa") > 3, "frames are counted")
    roommood(site, "quiet", "den", "00:00-24:00", "--timezone", "Europe/Berlin")
    closed.wait_for("paused")
    assert "quiet hours" in roommood(site, "rooms")
    analysed = len([line for line in worker.lines("analysed") if line["camera"] == "sofa"])
    others = site.frames("hall", "door")
    until(lambda: site.frames("hall", "door") > others + 10, "the other room goes on")
    assert analysed == len([row for row in worker.lines("analysed") if row["camera"] == "sofa"])
    roommood(site, "quiet", "den", "")
    closed.wait_for("resumed")


def test_who_does_not_know_what_is_paused_opens_no_camera(site: Site) -> None:
    reports, frames = site.address(), site.address()
    aggregator = site.aggregator(reports)
    worker = site.worker(frames, reports)
    paused = site.camera("sofa", "den", "simulated", frames)
    site.camera("door", "hall", "simulated", frames)
    until(lambda: site.frames("den", "sofa") > 3, "frames are counted")
    roommood(site, "pause", "den")
    paused.wait_for("paused")

    # As after a power cut, before the aggregator is there and before its Redis is.
    aggregator.kill()
    worker.kill()
    site.redis.kill()
    worker = site.worker(frames, reports)
    serves_others(worker)
    site.start_aggregator(reports)
    serves_others(worker)
    assert not paused.lines("resumed")
    site.redis.start()
    until(lambda: site.frames("hall", "door") > 5, "what waited is counted")
    assert not paused.lines("resumed")
    assert not [line for line in worker.lines("analysed") if line["camera"] == "sofa"]
    roommood(site, "resume", "den")
    paused.wait_for("resumed")


def test_after_a_power_cut_a_paused_room_is_asked_for_no_picture(site: Site) -> None:
    reports, frames = site.address(), site.address()
    roommood(site, "pause", "den", "--new")
    camera = site.camera("sofa", "den", "simulated", frames)
    worker = site.worker(frames, reports)
    site.camera("door", "hall", "simulated", frames)
    site.aggregator(reports)
    camera.wait_for("paused")
    serves_others(worker)
    assert not [line for line in worker.lines("analysed") if line["camera"] == "sofa"]


def test_an_aggregator_that_is_cut_off_from_redis_opens_no_paused_room(site: Site) -> None:
    first, second, frames = site.address(), site.address(), site.address()
    link = site.folder / "redis.sock"
    link.symlink_to(site.redis.socket)
    cut_off = site.aggregator(first, "--redis", f"unix://{link}")
    site.aggregator(second)
    worker = site.worker(frames, f"{first} {second}")
    camera = site.camera("sofa", "den", "simulated", frames)
    site.camera("door", "hall", "simulated", frames)
    until(lambda: site.frames("den", "sofa") > 3, "frames are counted")
    link.unlink()
    with site.redis.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    cut_off.wait_for("redis lost")
    roommood(site, "pause", "den")
    camera.wait_for("paused")
    for _ in range(4):
        serves_others(worker)
        select_for(1.0)
    assert not camera.lines("resumed")


def test_an_emptied_redis_opens_no_paused_room(site: Site) -> None:
    reports, frames = site.address(), site.address()
    aggregator = site.aggregator(reports)
    worker = site.worker(frames, reports)
    camera = site.camera("sofa", "den", "simulated", frames)
    site.camera("door", "hall", "simulated", frames)
    until(lambda: site.frames("den", "sofa") > 3, "frames are counted")
    roommood(site, "pause", "den")
    camera.wait_for("paused")
    with site.redis.client() as client:
        client.config_set("save", "")
    site.redis.kill()
    site.redis.start()
    aggregator.wait_for("Redis has lost what was paused: it is paused again")
    serves_others(worker)
    assert not camera.lines("resumed")
    roommood(site, "resume", "den")
    camera.wait_for("resumed")


def serves_others(worker: Component) -> None:
    """Waits until it has analysed so many frames more of the other camera."""
    before = len(worker.lines("analysed"))
    until(lambda: len(worker.lines("analysed")) > before + 15, "the other room's frames come")


def test_a_forgotten_room_leaves_only_its_tombstone(site: Site) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    site.worker(frames, reports)
    camera = site.camera("sofa", "den", "simulated", frames)
    until(lambda: site.frames("den", "sofa") > 3, "frames are counted")
    assert camera.stop() == 0
    roommood(site, "forget", "den", "--yes")
    with site.redis.client() as client:
        left = list(client.scan_iter("*{den}*"))
        assert left == ["roommood:{den}:forgotten"]
        assert client.zscore("roommood:rooms", "den") is None


@dataclass(frozen=True)
class Running:
    """A site that counts, for those who only look at it."""

    site: Site
    frames: str
    metrics_ports: tuple[int, int, int]


@pytest.fixture(scope="module")
def running(shared_site: Site) -> Running:
    reports, frames = shared_site.address(), shared_site.address()
    ports = (free_port(), free_port(), free_port())
    aggregator, worker, camera = [("--metrics-port", str(port)) for port in ports]
    shared_site.aggregator(reports, *aggregator)
    shared_site.worker(frames, reports, *worker)
    shared_site.camera("sofa", "den", "simulated", frames, *camera)
    until(lambda: shared_site.frames("den", "sofa") > 10, "frames are counted")
    return Running(shared_site, frames, ports)


def test_rooms_and_stats_tell_what_was_counted(running: Running) -> None:
    assert "den" in roommood(running.site, "rooms")
    answer = json.loads(roommood(running.site, "stats", "den", "--last", "10m", "--json"))
    text = json.dumps(answer)
    assert "happiness" in text
    assert "people" in text


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def is_ready(port: int) -> bool:
    return fetch(port, "/readyz")[0] == 200


def test_every_component_tells_its_health_and_metrics(running: Running) -> None:
    ports = running.metrics_ports
    for port in ports:
        until(partial(is_ready, port), "it is ready")
        assert fetch(port, "/healthz")[0] == 200
        assert fetch(port, "/else")[0] == 404
    committed = 'roommood_aggregator_results_total{outcome="committed",reason=""}'
    assert committed in fetch(ports[0], "/metrics")[1]
    analysed = 'roommood_worker_frames_total{outcome="analysed",reason=""}'
    assert analysed in fetch(ports[1], "/metrics")[1]
    assert "roommood_camera_frames_sent_total" in fetch(ports[2], "/metrics")[1]


def test_health_hashes_name_cameras_and_workers(running: Running) -> None:
    with running.site.redis.client() as client:
        until(lambda: client.hget("roommood:camera:sofa", "room") == "den", "the camera is told")
        worker = until(lambda: list(client.scan_iter("roommood:worker:*")), "the worker is told")[0]
        assert client.hget(worker, "address") == f"tcp://{running.frames}"
        assert 0 < client.ttl("roommood:camera:sofa") <= 10
        assert client.keys("roommood:model:*")
