"""Small groups leave no expressions behind, and a room that is forgotten leaves nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roommood.inference_worker.vision.opencv import cv2
from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import Site, select_for, until
from tests.inference_worker.pictures import astronaut, grace_hopper, jpeg

TOMBSTONE = "roommood:{den}:forgotten"


def expressions_of(site: Site, room: str) -> dict[str, int]:
    """Sums of the counters that name an expression, over all that is kept of a room."""
    sums = site.buckets(room)
    return {name: n for name, n in sums.items() if name.startswith(("us:", "label_us:")) and n}


def live(site: Site, room: str) -> dict[str, str]:
    with site.redis.client() as client:
        fields: dict[str, str] = client.hgetall(f"roommood:{{{room}}}:live")
        return fields


def faces_counted(site: Site, room: str) -> int:
    return sum(n for name, n in site.buckets(room).items() if name.startswith("face_us:"))


def run_site(site: Site, picture: Path, *options: str) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports, *options)
    site.worker(frames, reports)
    camera = site.camera("sofa", "den", str(picture), frames, "--rate-hz", "20")
    until(lambda: site.frames("den", "sofa") > 5 and faces_counted(site, "den"), "faces count")
    camera.stop()


@pytest.fixture
def one_face(tmp_path: Path) -> Path:
    path = tmp_path / "one.jpg"
    path.write_bytes(jpeg(cv2.resize(astronaut(), (480, 480)).astype("uint8")))
    return path


@pytest.fixture
def two_faces(tmp_path: Path) -> Path:
    woman = cv2.resize(astronaut(), (480, 480)).astype("uint8")
    man = cv2.resize(grace_hopper(), (410, 480)).astype("uint8")
    path = tmp_path / "two.jpg"
    path.write_bytes(jpeg(cv2.hconcat([woman, man]).astype("uint8")))
    return path


def test_fewer_faces_than_asked_for_leave_no_expression_in_redis(
    site: Site, one_face: Path
) -> None:
    run_site(site, one_face, "--min-people", "2")
    assert expressions_of(site, "den") == {}
    sums = site.buckets("den")
    assert sums["suppressed_us:sofa"] == sums["face_us:sofa"] > 0
    shares = {name: float(n) for name, n in live(site, "den").items() if name.startswith("share:")}
    assert not any(shares.values())


def test_without_the_setting_they_would(site: Site, one_face: Path) -> None:
    """The control."""
    run_site(site, one_face)
    assert sum(expressions_of(site, "den").values()) > 0
    assert site.buckets("den").get("suppressed_us:sofa", 0) == 0


def test_enough_faces_are_told_of(site: Site, two_faces: Path) -> None:
    run_site(site, two_faces, "--min-people", "2")
    assert sum(expressions_of(site, "den").values()) > 0


# Forgetting


def keys_of(site: Site, room: str) -> set[str]:
    """Every key whose name or content tells of a room, but for health that lives 10 s."""
    keys = set()
    with site.redis.client() as client:
        for key in client.scan_iter("*", count=1000):
            kind = client.type(key)
            text = str(client.zrange(key, 0, -1)) if kind == "zset" else ""
            text += str(client.smembers(key)) if kind == "set" else ""
            if f"{{{room}}}" in key or f"'{room}'" in text:
                keys.add(str(key))
    return keys


def forget(site: Site, room: str) -> None:
    code = "from roommood.deploy.cli import main; main()"
    arguments = ["forget", room, "--yes", "--redis", site.redis.url]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=60)


def test_a_forgotten_room_leaves_a_tombstone_that_goes_too_and_health_that_is_gone_in_10_s(
    site: Site, one_face: Path
) -> None:
    run_site(site, one_face)
    assert len(keys_of(site, "den")) >= 5
    forget(site, "den")
    assert keys_of(site, "den") == {TOMBSTONE}
    with site.redis.client() as client:
        assert 0 < client.ttl(TOMBSTONE) <= 6 * 3600
        for key in client.scan_iter("roommood:camera:*"):
            assert 0 <= client.ttl(key) <= 10
        client.delete(TOMBSTONE)  # as time does
    assert keys_of(site, "den") == set()


# The second: longer than the silence after which an aggregator drops a worker.
@pytest.mark.parametrize("stopped_s", [2.0, 8.0])
def test_results_that_were_on_their_way_do_not_bring_a_forgotten_room_back(
    site: Site, stopped_s: float
) -> None:
    reports, frames = site.address(), site.address()
    aggregator = site.aggregator(reports)
    worker = site.worker(frames, reports)
    with FakeCamera(frames, "sofa", "den") as sofa, FakeCamera(frames, "door", "hall") as door:
        sofa.wait_for_credit()
        sofa.send(jpeg(astronaut()))
        until(lambda: worker.lines("acknowledged"), "one is counted, and the worker knows")
        aggregator.signal(signal.SIGSTOP)
        for _ in range(3):
            sofa.wait_for_credit()
            sofa.send(jpeg(astronaut()))
        until(lambda: len(worker.lines("analysed")) == 4, "three results are on their way")
        # A capture time is as exact as the fastest message lately: on a busy machine, seconds.
        select_for(stopped_s)
        forget(site, "den")
        aggregator.signal(signal.SIGCONT)
        until(lambda: len(worker.lines("acknowledged")) >= 4, f"all end\n{worker.tail()}", 60.0)
        outcomes = [line["outcome"] for line in worker.lines("acknowledged")]
        assert outcomes == ["committed", *["refused-forgotten"] * 3]
        door.wait_for_credit()
        door.send(jpeg(astronaut()))
        until(lambda: site.frames("hall", "door") == 1, "another room goes on")
    assert keys_of(site, "den") == {TOMBSTONE}
