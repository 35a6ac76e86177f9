"""A whole site with keys: who belongs to it works, who does not gets nothing, after any outage."""

import contextlib
import signal
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import redis

from roommood.aggregator.stats.health import camera_health
from roommood.aggregator.stats.problems import camera_state
from roommood.deploy.keys.site_keys import SiteKeys, new_pair
from roommood.shared.security.keys import ClientKeys, camera_keys
from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import Component, Site, until
from tests.faults.proxy import FaultProxy
from tests.inference_worker.pictures import jpeg, plain

PICTURE = jpeg(plain(640, 480, 90))
UNPROTECTED = "tests.end_to_end.unprotected"


@dataclass
class Keyed:
    """A site of one aggregator and one worker; of its cameras `gone` is revoked."""

    site: Site
    keys: SiteKeys
    frames_at: str
    reports_at: str
    own: dict[str, ClientKeys]
    aggregator: Component = field(init=False)
    worker: Component = field(init=False)
    link: FaultProxy = field(init=False)

    def start(self, module: str = "roommood.inference_worker.cli") -> None:
        self.start_aggregator()
        self.start_worker(module)

    def start_aggregator(self) -> None:
        self.aggregator = self.site.aggregator(self.reports_at)

    def start_worker(self, module: str = "roommood.inference_worker.cli") -> None:
        self.worker = self.site.start_worker(self.frames_at, self.reports_at, module=module)
        self.worker.wait_for("worker ready")

    def frames(self, camera: str = "door") -> int:
        return self.site.frames("kitchen", camera)

    def fake(self, key: str, claims: str, room: str = "kitchen") -> FakeCamera:
        """A camera that has the key of one and claims to be another."""
        unknown = ClientKeys(new_pair(), self.own["door"].server)
        keys = {**self.own, "unknown": unknown}.get(key)
        return FakeCamera(self.frames_at, claims, room, keys)


@pytest.fixture
def keyed(site: Site, tmp_path: Path) -> Keyed:
    keys = SiteKeys(tmp_path / "keys")
    keys.init()
    own = {}
    for name in ("door", "hall", "gone"):
        bundle = keys.add_camera(name, "kitchen")
        bundled = camera_keys(bundle, name, "kitchen")
        assert bundled is not None
        own[name] = bundled
    keys.revoke("gone")
    site.keys = keys
    return Keyed(site, keys, site.address(), site.address(), own)


def assert_works(keyed: Keyed) -> None:
    before = keyed.frames()
    until(lambda: keyed.frames() > before, "the good camera's frames are counted")


# Outages

INTRUDERS = ("none", "unknown", "gone")


def test_a_site_with_keys_is_as_closed_after_every_outage_as_before(
    keyed: Keyed, pictures: Path
) -> None:
    keyed.start()
    with FaultProxy(keyed.frames_at) as keyed.link, contextlib.ExitStack() as stack:
        patient = [stack.enter_context(keyed.fake(key, "gone")) for key in INTRUDERS]
        source, rate = str(pictures), ("--rate-hz", "10")
        keyed.site.camera("door", "kitchen", source, keyed.link.address, *rate)
        for outage in OUTAGES:
            outage(keyed)
            assert_works(keyed)
            assert heard_by_intruders(keyed) == []
            for intruder in patient:
                intruder.try_all(PICTURE)
        assert not any(intruder.has_heard() for intruder in patient)
    assert {line["camera"] for line in keyed.worker.lines("analysed")} == {"door"}


@pytest.mark.parametrize(
    ("protection", "heard"), [("asking", ["unknown", "gone"]), ("list", ["unknown", "gone"])]
)
def test_with_a_protection_off_the_intruders_would_be_heard(
    keyed: Keyed,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    protection: str,
    heard: list[str],
) -> None:
    """The control. Who has no key at all cannot even speak to a socket that has keys."""
    monkeypatch.setenv("UNPROTECTED", protection)
    keyed.start(UNPROTECTED)
    keyed.site.camera("door", "kitchen", str(pictures), keyed.frames_at, "--rate-hz", "10")
    assert_works(keyed)
    assert heard_by_intruders(keyed) == heard


def heard_by_intruders(keyed: Keyed) -> list[str]:
    """Each says Hello and sends a frame; which of them the worker has answered."""
    cameras = {key: keyed.fake(key, "gone") for key in INTRUDERS}
    try:
        for camera in cameras.values():
            # One by one: of two that give the same name the later Hello counts.
            before = keyed.frames()
            camera.try_all(PICTURE)
            # Its next frames show that the worker has had the time to answer.
            until(lambda before=before: keyed.frames() > before + 4, "the good camera goes on")  # type: ignore[misc]
        return [key for key, camera in cameras.items() if camera.has_heard()]
    finally:
        for camera in cameras.values():
            camera.close()


def nothing(keyed: Keyed) -> None:
    pass


def worker_killed(keyed: Keyed) -> None:
    keyed.worker.kill()
    keyed.start_worker()


def worker_frozen(keyed: Keyed) -> None:
    """Long enough for the peers' heartbeats to end the connections, which then come back."""
    (camera,) = [
        component
        for component in keyed.site.components
        if component.name == "roommood.camera_node.cli"
    ]
    before = len(camera.lines("worker lost"))
    keyed.worker.signal(signal.SIGSTOP)
    until(lambda: len(camera.lines("worker lost")) > before, "the camera gives it up")
    keyed.worker.signal(signal.SIGCONT)


def link_reset(keyed: Keyed) -> None:
    before = keyed.link.connections
    keyed.link.reset()
    until(lambda: keyed.link.connections > before, "the camera connects again")


def aggregator_killed(keyed: Keyed) -> None:
    keyed.aggregator.kill()
    keyed.start_aggregator()


def list_changed(keyed: Keyed) -> None:
    read = len(keyed.worker.lines("allow-list read"))
    keyed.keys.add_camera("new", "den")
    until(lambda: len(keyed.worker.lines("allow-list read")) > read, "the list is read again")


OUTAGES = (nothing, link_reset, worker_killed, worker_frozen, aggregator_killed, list_changed)


# What a key may claim


def test_a_key_that_claims_another_camera_or_room_is_refused_and_counted(keyed: Keyed) -> None:
    keyed.start()
    refusals = partial(keyed.worker.lines, "message refused")
    with keyed.fake("door", "hall") as liar, keyed.fake("door", "door", "den") as mover:
        for intruder in (liar, mover):
            intruder.say_hello()
            intruder.send(PICTURE)
        until(lambda: len(refusals()) == 4, "all four messages are refused")
        assert not liar.has_heard()
        assert not mover.has_heard()
    with keyed.fake("door", "door") as honest_at_first:
        honest_at_first.wait_for_credit()
        honest_at_first.send(PICTURE, camera="hall")
        until(lambda: len(refusals()) == 5, "its frame is refused")
    assert all("key-mismatch" in line["why"] for line in refusals())
    assert keyed.worker.stop() == 0
    assert keyed.worker.wait_for("worker ended")["refused-key-mismatch"] == 1


# Revocation


def _evicted(client: redis.Redis, camera: str) -> dict[str, str] | None:
    fields: dict[str, str] = client.hgetall(f"roommood:camera:{camera}")  # type: ignore[assignment]
    return fields if camera_health(camera, fields, silent_s=0.0).evicted else None


def test_a_running_camera_that_is_revoked_is_put_out_and_the_others_go_on(
    keyed: Keyed, pictures: Path
) -> None:
    keyed.start()
    for name in ("door", "hall"):
        keyed.site.camera(name, "kitchen", str(pictures), keyed.frames_at, "--rate-hz", "10")
    until(lambda: keyed.frames("door") and keyed.frames("hall"), "both are counted")
    keyed.keys.revoke("hall")
    evict = keyed.worker.wait_for("camera evicted")
    assert (evict["camera"], evict["why"]) == ("hall", "revoked")
    until(lambda: keyed.worker.lines("message refused"), "its next message is refused")
    with keyed.site.redis.client() as client:
        fields = until(lambda: _evicted(client, "hall"), "readers are told why it is silent")
        assert not _evicted(client, "door")
    assert camera_state(camera_health("hall", fields, silent_s=20.0)) == "revoked"
    after = keyed.frames("hall")
    before = keyed.frames("door")
    until(lambda: keyed.frames("door") > before + 8, "the other camera goes on")
    # A frame may have been on its way through the worker when the key was revoked.
    assert keyed.frames("hall") <= after + 2
    keyed.keys.add_camera("hall", "kitchen")
    keyed.site.camera("hall", "kitchen", str(pictures), keyed.frames_at, "--rate-hz", "10")
    until(lambda: keyed.frames("hall") > after + 2, "with a new key it is back")


def test_without_the_check_it_would_go_on_and_a_key_would_pass_for_another_camera(
    keyed: Keyed, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of claims and of revocation: libzmq asks once, and never cuts who is in."""
    monkeypatch.setenv("UNPROTECTED", "check")
    keyed.start(UNPROTECTED)
    with keyed.fake("door", "other") as liar:
        liar.wait_for_credit()
        liar.send(PICTURE)
        assert until(lambda: keyed.frames("other"), "its frame is counted as the other's")
    keyed.site.camera("hall", "kitchen", str(pictures), keyed.frames_at, "--rate-hz", "10")
    until(lambda: keyed.frames("hall"), "it is counted")
    keyed.keys.revoke("hall")
    keyed.worker.wait_for("allow-list read")
    before = keyed.frames("hall")
    assert until(lambda: keyed.frames("hall") > before + 10, "it is still counted")


def test_a_camera_that_may_not_come_in_says_so(keyed: Keyed, pictures: Path) -> None:
    bundle = keyed.keys.to_copy / "camera-hall.key"
    keyed.keys.revoke("hall")
    keyed.start()
    assert bundle.exists()
    camera = keyed.site.camera("hall", "kitchen", str(pictures), keyed.frames_at)
    assert "does not admit this key" in camera.wait_for("worker never reached")["why"]


# Reports


def test_results_are_taken_only_from_holders_of_the_workers_key(
    keyed: Keyed, pictures: Path, tmp_path: Path
) -> None:
    """A worker with keys of its own making, which knows the aggregators' public key."""
    stranger = SiteKeys(tmp_path / "stranger")
    stranger.init()
    path = stranger.folder / "workers.key"
    trusted = keyed.keys.aggregators().public
    path.write_text(path.read_text().replace(stranger.aggregators().public, trusted))
    stranger.add_camera("door", "kitchen")
    keyed.start_aggregator()
    keyed.site.keys = stranger
    keyed.start_worker()
    keyed.site.camera("door", "kitchen", str(pictures), keyed.frames_at, "--rate-hz", "10")
    lost = keyed.worker.wait_for("aggregator never reached")
    assert "does not admit this key" in lost["why"]
    until(lambda: len(keyed.worker.lines("analysed")) > 5, "it has results")
    assert keyed.frames() == 0
    assert keyed.aggregator.wait_for("key not allowed")["peer"] == "127.0.0.1"


# A start that would not be safe


@pytest.mark.parametrize("component", ["roommood.aggregator.cli", "roommood.inference_worker.cli"])
def test_a_key_file_that_others_can_read_ends_the_start(keyed: Keyed, component: str) -> None:
    for name in ("workers.key", "aggregators.key"):
        (keyed.keys.folder / name).chmod(0o644)
    started = keyed.site.start(component, *keyed.site.own_keys())
    assert started.wait() == 2
    assert "chmod 600" in started.tail()


def test_without_keys_no_other_machine_is_talked_to(site: Site, pictures: Path) -> None:
    elsewhere = "192.0.2.7:5701"
    who = ("--name", "door", "--room", "kitchen", "--source", str(pictures))
    started = site.start("roommood.camera_node.cli", *who, "--worker", elsewhere)
    assert started.wait() == 2
    assert "roommood keys init" in started.tail()
    allowed = site.start("roommood.camera_node.cli", *who, "--worker", elsewhere, "--insecure")
    allowed.wait_for("camera ready")
