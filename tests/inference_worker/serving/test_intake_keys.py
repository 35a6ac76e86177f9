"""What a worker's intake takes from a key: only what that key may say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from roommood.deploy.keys.site_keys import new_pair
from roommood.inference_worker.serving.intake import Intake
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.security.allow_list import AllowList
from roommood.shared.security.keys import ClientKeys, KeyPair, fingerprint
from roommood.shared.security.zap import Authenticator
from roommood.shared.transport.sockets import bind_frames
from tests import hooks
from tests.inference_worker.serving.test_intake import IntakeRig
from tests.shared.fakes import PolledCamera, Rig
from tests.shared.keyed import WORKERS, client, entry, write_list
from tests.shared.made import frame
from tests.shared.peers import free_address

KEYS = {name: new_pair() for name in ("door", "hall")}


class KeyedIntake(IntakeRig):
    """An intake with an allow-list; each camera connects with the key of its name."""

    def __init__(self, path: Path, checks: bool) -> None:
        Rig.__init__(self)
        self.address = free_address()
        self.allow_list = AllowList(path)
        self.authenticator = Authenticator(self.context, self.allow_list)
        self.router = bind_frames(self.context, self.address, insecure=False, keys=WORKERS)
        self.poller.register(self.router, zmq.POLLIN)
        self.jobs: list[Job] = []
        checked = self.allow_list if checks else None
        self.intake = Intake(self.router, "worker", 1, self.jobs.append, checked)

    def camera(self, name: str = "door") -> PolledCamera:
        keys = client(KEYS[name])
        camera = PolledCamera(self.context, self.address, self.poller, name, keys)
        self.peers.append(camera)
        return camera

    def close(self) -> None:
        self.authenticator.stop()
        super().close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    entries = [entry(pair, name, "kitchen") for name, pair in KEYS.items()]
    return write_list(tmp_path / "cameras.toml", entries)


@pytest.fixture
def site(path: Path) -> Iterator[KeyedIntake]:
    intake = KeyedIntake(path, checks=True)
    yield intake
    intake.close()


@pytest.fixture
def unchecked(path: Path) -> Iterator[KeyedIntake]:
    """The control: the same, and no message is held against the key of its sender."""
    intake = KeyedIntake(path, checks=False)
    yield intake
    intake.close()


# Claims


def test_a_camera_with_its_own_key_is_served(site: KeyedIntake) -> None:
    camera = site.greeted("door")
    camera.frame()
    site.until(lambda: site.jobs)
    assert not site.intake.ledger.refused


def job_of(site: KeyedIntake) -> Job:
    site.greeted("door").frame()
    site.until(lambda: site.jobs)
    return site.jobs[0]


def test_a_job_names_the_fingerprint_of_the_key_that_was_proved(
    site: KeyedIntake, unchecked: KeyedIntake
) -> None:
    assert job_of(site).session.fingerprint == fingerprint(KEYS["door"].public)
    assert job_of(unchecked).session.fingerprint == ""


def claims_another(site: KeyedIntake, **claim: str) -> PolledCamera:
    """A camera with the key of `door` that says another name or room, and one that is honest."""
    liar = site.camera("door")
    liar.hello(**claim)
    liar.frame(**claim)
    site.greeted("hall")
    return liar


@pytest.mark.parametrize("claim", [{"camera": "hall"}, {"room": "den"}], ids=str)
def test_a_key_cannot_speak_for_another_camera_or_room(
    site: KeyedIntake, claim: dict[str, str]
) -> None:
    liar = claims_another(site, **claim)
    assert site.intake.ledger.refused[Outcome.KEY_MISMATCH] == 2
    assert liar.credits == []
    assert site.jobs == []


def test_but_it_could_if_its_claim_were_not_checked(unchecked: KeyedIntake) -> None:
    """The control."""
    assert claims_another(unchecked, room="den").credits != []


def test_a_frame_that_claims_another_camera_settles_its_credit_and_counts(
    site: KeyedIntake,
) -> None:
    camera = site.greeted("door")
    camera.frame(camera="hall")
    site.until(lambda: site.intake.ledger.refused[Outcome.KEY_MISMATCH])
    (session,) = site.intake.sessions.all
    assert session.account.ended == {"refused-key-mismatch": 1}
    site.until(lambda: camera.credit.granted == 2)


# Routing ids, which a peer may choose


def steal(site: KeyedIntake) -> None:
    """`door` leaves; `hall` comes with its routing id, and sends a frame in its name."""
    victim = site.greeted("door")
    (session,) = site.intake.sessions.all
    stolen = session.routing_id
    site.peers.remove(victim)
    site.poller.unregister(victim.socket)
    victim.close()
    site.until(lambda: is_gone(site, stolen))
    thief = site.context.socket(zmq.DEALER)
    thief.setsockopt(zmq.ROUTING_ID, stolen)
    _set_keys(thief, client(KEYS["hall"]))
    thief.connect(site.address)
    copied = frame(camera="door", seq=0, sent_ms=boot_ms())
    thief.send_multipart([wire.encode_frame(copied), copied.jpeg])
    try:
        site.until(lambda: site.jobs or site.intake.ledger.refused)
    finally:
        thief.close(0)


def is_gone(site: KeyedIntake, routing_id: bytes) -> bool:
    """True once it is free; a connection that only takes no more is still there."""
    try:
        site.router.send_multipart([routing_id, b"gone?"], zmq.NOBLOCK)
    except zmq.ZMQError as error:
        return error.errno == zmq.EHOSTUNREACH
    return False


def _set_keys(socket: zmq.Socket[bytes], keys: ClientKeys) -> None:
    own: KeyPair = keys.own
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())


def test_a_stolen_routing_id_does_not_pass_for_its_former_owner(site: KeyedIntake) -> None:
    steal(site)
    assert site.intake.ledger.refused[Outcome.KEY_MISMATCH] == 1
    assert site.jobs == []
    (session,) = site.intake.sessions.all
    assert (session.account.received, session.account.ended) == (0, {})


def test_it_would_if_neither_claim_nor_connection_were_checked(
    unchecked: KeyedIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: ROUTER hands a routing id that has become free to whoever asks for it."""
    hooks.claims_are_not_checked(monkeypatch, unchecked.intake)
    steal(unchecked)
    (job,) = unchecked.jobs
    assert job.frame.camera == "door"


# Revocation


def revoke(path: Path, *names: str) -> None:
    pairs = KEYS.items()
    write_list(path, [entry(pair, name, "kitchen", name in names) for name, pair in pairs])


def test_a_revoked_camera_gets_no_credit_and_its_next_message_is_refused(
    site: KeyedIntake, path: Path
) -> None:
    camera, other = site.greeted("door"), site.greeted("hall")
    revoke(path, "door")
    site.until(lambda: site.allow_list.version)
    site.tick()
    heard = len(camera.credits)
    camera.hello()
    camera.frame()
    site.until(lambda: site.intake.ledger.refused[Outcome.REVOKED] == 2)
    site.intake.tell_all()
    site.intake.pause(frozenset({"kitchen"}))
    site.intake.pause(frozenset())
    before = len(other.credits)
    other.hello()
    site.until(lambda: len(other.credits) > before)
    assert len(camera.credits) == heard
    assert site.jobs == []


def test_a_site_whose_every_camera_is_revoked_takes_nothing(site: KeyedIntake, path: Path) -> None:
    """An empty list is a list: it must not be taken for none."""
    camera = site.greeted("door")
    revoke(path, "door", "hall")
    site.until(lambda: site.allow_list.version)
    site.tick()
    heard = len(camera.credits)
    camera.say(b"no message at all")
    camera.say(b"RM\xffH\x80")
    camera.hello()
    camera.frame()
    site.until(lambda: sum(site.intake.ledger.refused.values()) == 4)
    assert site.intake.ledger.refused == {"refused-revoked": 4}
    assert site.jobs == []
    assert len(camera.credits) == heard


def test_its_credit_is_taken_back_at_once_so_that_others_are_served(
    site: KeyedIntake, path: Path
) -> None:
    site.greeted("door")
    assert site.intake.ledger.in_flight == 1
    revoke(path, "door")
    site.until(lambda: site.allow_list.version)
    site.tick()
    assert site.intake.ledger.in_flight == 0


def test_without_the_check_a_revoked_camera_would_be_served(
    unchecked: KeyedIntake, path: Path
) -> None:
    """The control."""
    camera = unchecked.greeted("door")
    revoke(path, "door")
    unchecked.until(lambda: unchecked.allow_list.version)
    camera.frame()
    (job,) = unchecked.until(lambda: unchecked.jobs)
    assert job.frame.camera == "door"


def test_a_camera_that_is_admitted_again_is_served_again(site: KeyedIntake, path: Path) -> None:
    camera = site.greeted("door")
    revoke(path, "door")
    site.until(lambda: site.allow_list.version == 1)
    site.tick()
    revoke(path)
    site.until(lambda: site.allow_list.version == 2)
    before = len(camera.credits)
    camera.hello()
    assert site.until(lambda: len(camera.credits) > before and camera.credit.granted > camera.sent)
