"""The worker's side of the frame protocol, spoken to by fake cameras over real sockets."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pytest
import zmq

from roommood.inference_worker.serving import answers as answers_module
from roommood.inference_worker.serving import intake as intake_module
from roommood.inference_worker.serving.intake import Intake
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.inference_worker.serving.pace import Pace
from roommood.inference_worker.serving.repeats import Repeats
from roommood.inference_worker.vision.analysis import Analysis
from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import CREDIT_VOID_MS
from roommood.shared.protocol.messages import Credit
from roommood.shared.transport.sockets import bind_frames, close
from tests.shared.fakes import PolledCamera, Rig
from tests.shared.made import face, frame, hello
from tests.shared.peers import free_address, until


class IntakeRig(Rig):
    """An Intake at a real socket, with jobs that wait until they are started."""

    def __init__(self, threads: int = 1, **options: Any) -> None:
        super().__init__()
        self.address = free_address()
        self.router = bind_frames(self.context, self.address, insecure=False)
        self.poller.register(self.router, zmq.POLLIN)
        self.jobs: list[Job] = []
        self.intake = Intake(self.router, "worker", threads, self.jobs.append, **options)

    def camera(self, name: str = "door") -> PolledCamera:
        camera = PolledCamera(self.context, self.address, self.poller, name)
        self.peers.append(camera)
        return camera

    def tick(self) -> None:
        self.intake.tick()
        super().tick()

    def greeted(self, name: str = "door") -> PolledCamera:
        """A camera that has said Hello and holds a credit."""
        camera = self.camera(name)
        camera.hello()
        self.until(lambda: camera.credits and camera.credit.granted > camera.sent)
        return camera

    def held_back(self) -> PolledCamera:
        """A camera that has said Hello and holds no credit, since nobody told who is paused."""
        self.intake.await_pauses()
        camera = self.camera()
        camera.hello()
        self.until(lambda: camera.credits)
        assert camera.credit.granted == 0
        return camera

    def begun(self, camera: PolledCamera) -> Job:
        """A thread has begun with this camera's next frame."""
        self.until(lambda: camera.credit.granted > camera.sent)
        camera.frame()
        jobs = len(self.jobs)
        self.until(lambda: len(self.jobs) > jobs)
        self.intake.started(self.jobs[-1], boot_ms())
        return self.jobs[-1]

    def close(self) -> None:
        close(self.router)
        super().close()


@pytest.fixture
def site() -> Iterator[IntakeRig]:
    rig = IntakeRig()
    yield rig
    rig.close()


def counts(site: IntakeRig) -> dict[str, int]:
    (session,) = site.intake.sessions.all
    return {str(outcome): frames for outcome, frames in session.account.ended.items()}


# Hello and Credit


def test_every_hello_is_answered_with_a_credit(site: IntakeRig) -> None:
    camera = site.camera()
    for connection in range(3):
        camera.hello(connection=connection)
        answered = {*range(connection + 1)}
        site.until(lambda so_far=answered: so_far == {c.connection for c in camera.credits})  # type: ignore[misc]
    assert camera.credit.worker_id == "worker"


def test_a_second_hello_is_answered_though_nothing_else_comes(site: IntakeRig) -> None:
    camera = site.camera()
    camera.hello()
    site.until(lambda: camera.credits)
    camera.hello()
    assert site.router.poll(20_000)
    site.tick()
    assert site.intake.next_look_ms() <= 100


def test_hellos_are_read_in_rounds_where_no_frame_is_expected(site: IntakeRig) -> None:
    camera = site.greeted()
    site.until(lambda: site.intake.control.is_quiet(boot_ms()))
    assert site.intake.rest_ms() == 0

    def rest_after_hello_ms() -> float:
        camera.hello()
        return site.intake.rest_ms()

    assert 0 < site.until(rest_after_hello_ms) <= 20


def test_the_control_while_a_frame_is_expected_they_are_read_as_they_come(site: IntakeRig) -> None:
    camera = site.greeted()
    site.intake.control.granted(boot_ms() + 60_000)
    heard = len(camera.credits)
    camera.hello()
    site.until(lambda: len(camera.credits) > heard)
    assert site.intake.rest_ms() == 0


def test_an_idle_worker_grants_a_frame(site: IntakeRig) -> None:
    assert site.greeted().credit.granted == 1
    assert site.intake.ledger.in_flight == 1


def test_the_answer_to_hello_passes_the_list_of_workers_on_and_a_grant_does_not(
    site: IntakeRig,
) -> None:
    site.intake.know(("tcp://desk-2:5701",))
    answer, *_, grant = site.greeted().credits
    assert answer.workers == ("tcp://desk-2:5701",)
    assert grant.granted == 1
    assert grant.workers == ()


def test_addresses_go_out_when_they_changed_and_not_with_every_answer(site: IntakeRig) -> None:
    site.intake.know(("tcp://desk-2:5701",))
    camera = site.greeted()
    addresses = [credit.workers for credit in camera.credits if credit.workers]
    for _ in range(3):
        answers = len(camera.credits)
        camera.hello()
        site.until(lambda so_far=answers: len(camera.credits) > so_far)  # type: ignore[misc]
    assert [credit.workers for credit in camera.credits if credit.workers] == addresses

    site.intake.know(("tcp://desk-2:5701", "tcp://desk-3:5701"))
    camera.hello()
    site.until(lambda: "tcp://desk-3:5701" in camera.credit.workers)


def test_a_worker_that_leaves_grants_nothing_and_says_so(site: IntakeRig) -> None:
    site.intake.leave()
    camera = site.camera()
    camera.hello()
    site.until(lambda: camera.credits)
    assert (camera.credit.leaving, camera.credit.granted) == (True, 0)


def test_cameras_are_told_at_once_when_a_worker_leaves(site: IntakeRig) -> None:
    camera = site.greeted()
    site.intake.leave()
    # Without another turn of the intake, which would tell it too.
    assert until(lambda: camera.credit.leaving, camera.tick, site.poller)


# Frames


def test_a_frame_on_credit_becomes_a_job_with_its_age(site: IntakeRig) -> None:
    camera = site.greeted()
    camera.frame(age_ms=12.0, jpeg=b"\xff\xd8\xffpicture")
    site.until(lambda: site.jobs)
    (job,) = site.jobs
    assert job.frame.jpeg == b"\xff\xd8\xffpicture"
    assert 12.0 <= job.age_ms < 10_000
    assert job.age_at(job.arrived_ms + 5) == job.age_ms + 5
    assert site.intake.ledger.waiting == 1


def test_a_frame_is_alone_where_no_other_is_under_way_or_could_be(paced: IntakeRig) -> None:
    camera = paced.greeted()
    camera.frame()
    paced.until(lambda: paced.jobs)
    assert paced.jobs[-1].is_alone


def test_the_control_beside_a_camera_that_is_asked_too_it_is_not(paced: IntakeRig) -> None:
    first, second = paced.greeted(), paced.greeted("desk")
    first.frame()
    paced.until(lambda: paced.jobs)
    assert not paced.jobs[-1].is_alone
    assert second.credit.granted == 1


def test_a_frame_begun_makes_room_for_the_next(site: IntakeRig) -> None:
    camera = site.greeted()
    camera.frame()
    site.until(lambda: site.jobs)
    site.intake.started(site.jobs[0], boot_ms())
    site.intake.finished(site.jobs[0], boot_ms(), Outcome.ANALYSED)
    site.until(lambda: camera.credit.granted == 2)
    assert (camera.credit.started, counts(site), site.intake.ledger.waiting) == (
        1,
        {"analysed": 1},
        0,
    )


def test_a_job_found_stale_is_refused_and_settled(site: IntakeRig) -> None:
    camera = site.greeted()
    camera.frame()
    site.until(lambda: site.jobs)
    site.intake.refused_at_start(site.jobs[0], Outcome.STALE)
    site.until(lambda: camera.credit.started == 1)
    assert (counts(site), site.intake.ledger.refused) == (
        {"refused-stale": 1},
        {"refused-stale": 1},
    )


def test_a_failed_analysis_is_counted_as_refused_and_why(site: IntakeRig) -> None:
    camera = site.greeted()
    camera.frame()
    site.until(lambda: site.jobs)
    site.intake.started(site.jobs[0], boot_ms())
    site.intake.finished(site.jobs[0], boot_ms(), Outcome.DAMAGED)
    assert (counts(site), site.intake.ledger.refused) == (
        {"refused-damaged": 1},
        {"refused-damaged": 1},
    )


def test_a_frame_before_hello_is_refused_as_unsolicited(site: IntakeRig) -> None:
    site.camera().frame()
    site.until(lambda: site.intake.ledger.refused)
    assert site.intake.ledger.refused == {"refused-unsolicited": 1}
    assert (site.jobs, site.intake.ledger.in_flight) == ([], 0)


def test_a_frame_before_hello_ends_in_one_count_and_is_not_lost_as_well(site: IntakeRig) -> None:
    camera = site.greeted()
    session = site.intake.sessions.all[0]
    again = site.camera("door")
    again.frame()
    site.until(lambda: site.intake.ledger.refused[Outcome.UNSOLICITED] == 1)
    again.hello(connection=2, sent=1)
    site.until(lambda: again.credits)
    assert session.account.ended == {"refused-unsolicited": 1}
    assert (session.account.received, session.account.settled) == (1, 1)
    assert camera.credit.granted == 1


def test_spoilt_frames_before_a_first_hello_are_booked_under_their_reason(site: IntakeRig) -> None:
    camera = site.camera()
    camera.say(b"RM\x01F spoilt", b"jpeg")
    camera.say(b"RM\x09F newer", b"jpeg")
    site.until(lambda: site.intake.ledger.refused.total() == 2)
    camera.hello(sent=2)
    site.until(lambda: camera.credits)
    assert counts(site) == {"refused-malformed": 1, "refused-wire-version": 1}


def test_what_connections_without_hello_sent_is_remembered_of_a_few_only(site: IntakeRig) -> None:
    for number in range(600):
        site.intake.ledger.refuse_unknown(number.to_bytes(4, "big"), Outcome.UNSOLICITED)
    assert len(site.intake.ledger._unknown) <= 256


def test_a_frame_beyond_its_credit_is_refused_as_unsolicited(site: IntakeRig) -> None:
    camera = site.greeted()
    camera.frame()
    camera.frame()
    camera.hello()
    site.until(lambda: site.intake.ledger.refused and len(camera.credits) >= 3)
    assert len(site.jobs) == 1
    assert counts(site) == {"refused-unsolicited": 1}
    assert camera.credit.started == 1


@pytest.mark.parametrize("claim", [{"camera": "other"}, {"room": "hall"}, {"session_id": "x"}])
def test_a_frame_that_claims_to_be_anothers_is_refused(
    site: IntakeRig, claim: dict[str, str]
) -> None:
    camera = site.greeted()
    camera.frame(**claim)
    site.until(lambda: counts(site))
    assert (counts(site), site.jobs) == ({"refused-mismatch": 1}, [])
    site.until(lambda: camera.credit.granted == 2)


def test_a_frame_of_a_paused_room_is_refused_and_its_camera_told(site: IntakeRig) -> None:
    camera = site.greeted()
    site.intake.pause(frozenset({"kitchen"}))
    site.until(lambda: camera.credit.paused)
    camera.frame()
    site.until(lambda: counts(site))
    assert counts(site) == {"refused-paused": 1}
    assert site.intake.ledger.in_flight == 0
    site.intake.pause(frozenset())
    site.until(lambda: not camera.credit.paused and camera.credit.granted == 2)


def test_who_starts_asks_for_nothing_before_it_is_told_who_is_paused(site: IntakeRig) -> None:
    camera = site.held_back()
    assert camera.credit.pauses_unknown
    site.intake.pause(frozenset({"hall"}))
    site.until(lambda: camera.credit.granted == 1)
    assert not camera.credit.pauses_unknown


def test_nor_for_long_where_nobody_tells_and_that_is_said(
    site: IntakeRig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    camera = site.held_back()
    later = boot_ms() + intake_module._UNTOLD_MS + 1_000
    monkeypatch.setattr(intake_module, "boot_ms", lambda: later)
    site.until(lambda: camera.credit.granted == 1)
    assert camera.credit.pauses_unknown
    assert "nobody tells what is paused: cameras are asked" in caplog.text


def test_what_was_told_long_ago_is_unknown(
    site: IntakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.intake.pause(frozenset({"hall"}))
    camera = site.greeted()
    assert not camera.credit.pauses_unknown
    later = boot_ms() + answers_module._PAUSES_KNOWN_MS + 1_000
    monkeypatch.setattr(intake_module, "boot_ms", lambda: later)
    camera.hello()
    site.until(lambda: camera.credit.pauses_unknown)


def test_an_aggregator_that_does_not_know_opens_nothing_and_closes_once_nobody_knows(
    site: IntakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = (site.greeted(), site.intake.sessions.all[0])[1]
    room = frozenset({session.hello.room})
    site.intake.pause(room)
    site.intake.pause(frozenset(), are_unknown=True)
    assert site.intake.sessions.is_paused(session)
    site.intake.pause(frozenset())
    site.intake.pause(room, are_unknown=True)
    assert not site.intake.sessions.is_paused(session), "another knows better"

    later = boot_ms() + answers_module._PAUSES_KNOWN_MS + 1_000
    monkeypatch.setattr(intake_module, "boot_ms", lambda: later)
    site.intake.pause(room, are_unknown=True)
    site.intake.pause(frozenset({"hall"}), are_unknown=True)
    assert site.intake.sessions.is_paused(session)


def test_an_older_aggregator_closes_and_opens_nothing_beside_one_that_knows(
    site: IntakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not say that it does not know, and may know of less that is paused."""
    camera, session = site.greeted(), site.intake.sessions.all[0]
    room = frozenset({session.hello.room})
    site.intake.pause(frozenset(), frozenset({session.hello.camera}))
    site.intake.pause(frozenset(), are_unknown=None)
    assert site.intake.sessions.is_paused(session)
    site.intake.pause(frozenset())
    site.intake.pause(room, are_unknown=None)
    assert site.intake.sessions.is_paused(session), "nobody waits for another to close a room"
    site.until(lambda: camera.credit.paused and camera.credit.pauses_unknown is False)

    later = boot_ms() + answers_module._PAUSES_KNOWN_MS + 1_000
    monkeypatch.setattr(intake_module, "boot_ms", lambda: later)
    site.intake.pause(frozenset(), are_unknown=None)
    assert not site.intake.sessions.is_paused(session), "there is nobody else"


def test_a_worker_that_only_an_older_aggregator_has_told_does_not_say_that_it_knows(
    site: IntakeRig,
) -> None:
    camera = site.held_back()
    site.intake.pause(frozenset({"hall"}), are_unknown=None)
    site.until(lambda: camera.credit.granted == 1)
    assert camera.credit.pauses_unknown is None


def test_of_a_camera_that_is_paused_by_itself_no_frame_is_taken(site: IntakeRig) -> None:
    camera = site.greeted()
    name = site.intake.sessions.all[0].hello.camera
    site.intake.pause(frozenset(), frozenset({"another"}))
    assert not site.intake.sessions.is_paused(site.intake.sessions.all[0])
    site.intake.pause(frozenset(), frozenset({name}))
    site.until(lambda: camera.credit.paused)
    camera.frame()
    site.until(lambda: counts(site))
    assert counts(site) == {"refused-paused": 1}
    # Its room was resumed: the camera itself is still paused.
    site.intake.pause(frozenset({"kitchen"}), frozenset({name}))
    site.intake.pause(frozenset(), frozenset({name}))
    assert camera.credit.paused
    site.intake.pause(frozenset())
    site.until(lambda: not camera.credit.paused and camera.credit.granted == 2)


def test_frames_lost_on_the_wire_are_booked_at_the_next_hello(site: IntakeRig) -> None:
    camera = site.greeted()
    camera.sent += 1
    camera.hello()
    site.until(lambda: camera.credit.started == 1 and camera.credit.granted == 2)
    assert counts(site) == {"lost-on-wire": 1}


def test_a_second_live_boot_wins_and_the_first_is_told(site: IntakeRig) -> None:
    old = site.greeted()
    new = site.camera()
    new.hello(session_id="new")
    site.until(lambda: new.credits)
    old.hello()
    site.until(lambda: old.credit.refused)
    assert (old.credit.refused, new.credit.refused) == ("superseded", "")
    old.frame()
    site.until(lambda: site.intake.ledger.refused)
    assert site.intake.ledger.refused == {"refused-superseded": 1}


def test_a_camera_that_vanishes_gives_its_credit_to_another(
    site: IntakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.greeted("gone")
    began_ms = boot_ms()
    for passed_ms in range(500, CREDIT_VOID_MS + 1_500, 500):
        monkeypatch.setattr(intake_module, "boot_ms", lambda ms=began_ms + passed_ms: ms)
        site.intake.tick()
    assert site.intake.ledger.in_flight == 0
    assert site.greeted("other").credit.granted == 1


def test_a_camera_is_not_silent_because_the_worker_stalled(
    site: IntakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.greeted()
    (session,) = site.intake.sessions.all
    later = boot_ms() + CREDIT_VOID_MS + 5_000
    monkeypatch.setattr(intake_module, "boot_ms", lambda: later)
    site.intake.tick()
    assert (session.silent, site.intake.ledger.in_flight) == (False, 1)


def test_a_camera_whose_socket_is_gone_gives_its_credit_back(site: IntakeRig) -> None:
    camera = site.greeted()
    (session,) = site.intake.sessions.all
    camera.close()
    site.peers.clear()

    def read() -> None:
        site.tick()
        site.intake.tell_all()

    until(lambda: session.silent, read, zmq.Poller())
    assert site.intake.ledger.in_flight == 0


# What looks show

EMPTY: Final = Analysis((), 1.0, 1.0, 1.0, np.zeros((60, 80), np.uint8))
SOMEBODY: Final = Analysis((face(),), 1.0, 1.0, 1.0)


@pytest.fixture
def paced() -> Iterator[IntakeRig]:
    """A worker of two threads that looks more seldom at empty rooms, and compares them."""
    rig = IntakeRig(2, pace=Pace(50.0, 20.0), repeats=Repeats(2_000.0))
    yield rig
    rig.close()


def ends(site: IntakeRig, job: Job, analysis: Analysis) -> None:
    site.intake.finished(job, boot_ms(), Outcome.ANALYSED, analysis)


def supersede(site: IntakeRig) -> None:
    sessions, old = site.intake.sessions, site.intake.sessions.all[0]
    sessions.hello(b"new", hello(camera="door", session_id="new"), boot_ms())
    sessions.hello(old.routing_id, old.hello, boot_ms())


INELIGIBLE: dict[str, Callable[[IntakeRig], object]] = {
    "paused": lambda site: site.intake.pause(frozenset({"kitchen"})),
    "evicted": lambda site: site.intake.sessions.evict(site.intake.sessions.all[0], "revoked"),
    "silent": lambda site: site.intake.sessions.sweep(boot_ms() + CREDIT_VOID_MS + 1_000),
    "superseded": supersede,
    "forgotten": lambda site: site.intake.sessions.hello(
        site.intake.sessions.all[0].routing_id, hello(camera="other"), boot_ms()
    ),
}


@pytest.mark.parametrize("become", INELIGIBLE)
def test_who_is_not_served_any_more_is_not_asked_for_what_its_last_look_showed(
    paced: IntakeRig, become: str
) -> None:
    camera = paced.greeted()
    ends(paced, paced.begun(camera), EMPTY)
    job = paced.begun(camera)
    INELIGIBLE[become](paced)
    ends(paced, job, SOMEBODY)
    paced.intake.sessions.ready.wake(boot_ms() + 10_000.0)
    assert job.session not in paced.intake.sessions.ready


def test_the_control_a_camera_that_is_served_is_asked_for_more(paced: IntakeRig) -> None:
    camera = paced.greeted()
    ends(paced, paced.begun(camera), EMPTY)
    job = paced.begun(camera)
    ends(paced, job, SOMEBODY)
    paced.intake.sessions.ready.wake(boot_ms() + 10_000.0)
    assert job.session in paced.intake.sessions.ready


@pytest.mark.parametrize(("older", "newer"), [(EMPTY, SOMEBODY), (SOMEBODY, EMPTY)])
def test_of_two_looks_the_newer_holds_though_the_older_ends_last(
    paced: IntakeRig, older: Analysis, newer: Analysis
) -> None:
    camera = paced.greeted()
    first, second = paced.begun(camera), paced.begun(camera)
    ends(paced, second, newer)
    ends(paced, first, older)
    session = first.session
    assert (session.has_faces, session.empty_look is None) == (newer is SOMEBODY,) * 2


def test_a_look_from_before_a_pause_is_not_compared_with_after_it(paced: IntakeRig) -> None:
    camera = paced.greeted()
    before = paced.begun(camera)
    paced.intake.pause(frozenset({"kitchen"}))
    paced.intake.pause(frozenset())
    ends(paced, before, EMPTY)
    assert before.session.empty_look is None
    after = paced.begun(camera)
    ends(paced, after, EMPTY)
    assert after.session.empty_look is not None


# Bad messages

HELLO = wire.encode_hello(hello())
BAD: dict[str, tuple[list[bytes], str]] = {
    "nothing": ([b""], "malformed"),
    "noise": ([b"noise"], "malformed"),
    "another version": ([HELLO[:2] + b"\x63" + HELLO[3:]], "wire-version"),
    "a report": ([b"RM\x01R\x80"], "malformed"),
    "a hello in two parts": ([HELLO, b""], "malformed"),
    "a frame in one part": ([wire.encode_frame(frame())], "malformed"),
    "seven parts": ([b"x"] * 7, "malformed"),
    "an empty hello": ([HELLO[:4] + b"\x80"], "malformed"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_is_refused_and_the_next_good_one_is_heard(
    site: IntakeRig, name: str
) -> None:
    parts, reason = BAD[name]
    camera = site.camera()
    camera.say(*parts)
    camera.hello()
    site.until(lambda: camera.credits)
    assert site.intake.ledger.refused == {f"refused-{reason}": 1}


@pytest.mark.parametrize(
    ("place", "value", "reason"), [(2, 99, "wire-version"), (5, 0, "malformed")]
)
def test_a_bad_frame_on_credit_is_counted_once_and_settled(
    site: IntakeRig, place: int, value: int, reason: str
) -> None:
    camera = site.greeted()
    header = bytearray(wire.encode_frame(frame()))
    header[place] = value
    camera.sent += 1
    camera.say(bytes(header), b"jpeg")
    site.until(lambda: counts(site))
    assert counts(site) == {f"refused-{reason}": 1}
    camera.hello()
    site.until(lambda: camera.credit.granted == 2 and camera.credit.started == 1)
    assert counts(site) == {f"refused-{reason}": 1}


# The loop


def test_another_wire_version_is_answered_so_that_its_sender_can_name_both(site: IntakeRig) -> None:
    camera = site.camera()
    own = wire.encode_hello(hello(camera="door", sent=0, sent_ms=boot_ms()))
    camera.say(own[:2] + bytes((own[2] + 1,)) + own[3:])
    site.until(lambda: camera.credits)
    assert (camera.credit.refused, camera.credit.granted) == ("wire-version", 0)
    assert site.intake.ledger.refused[Outcome.WIRE_VERSION] == 1


def test_the_next_look_is_far_off_while_no_camera_is_ready(site: IntakeRig) -> None:
    assert site.intake.next_look_ms() >= 100
    site.greeted()
    assert site.intake.next_look_ms() >= 100


def test_the_next_look_is_near_but_not_now_while_a_camera_is_ready(site: IntakeRig) -> None:
    site.greeted("slow")
    other = site.camera("other")
    other.hello()
    site.until(lambda: other.credits)
    # On a busy machine the overcommit may have grown by now, and the other camera been asked.
    still_ready = bool(site.intake.sessions.ready)
    assert 0 <= site.intake.next_look_ms() <= (50 if still_ready else 500)


# What cameras may hold


def holder(site: IntakeRig, **changes: Any) -> PolledCamera:
    """A camera that can hold pictures, with a credit."""
    camera = site.camera()
    camera.hello(holds=True, **changes)
    site.until(lambda: camera.credits and camera.credit.granted > camera.sent)
    return camera


def asked_again(site: IntakeRig, camera: PolledCamera) -> Credit:
    site.until(lambda: camera.credit.granted > camera.sent)
    return camera.credit


def test_a_camera_whose_room_is_empty_is_asked_at_once_and_may_hold_what_looks_the_same() -> None:
    site = IntakeRig(pace=Pace(5.0, 0.2), repeats=Repeats(2_000.0))
    camera = holder(site)
    assert camera.credit.hold_ms == 0
    job = site.begun(camera)
    ends(site, job, EMPTY)
    began_ms = boot_ms()
    credit = asked_again(site, camera)
    assert (credit.empty_seq, credit.hold_ms, credit.look_ms) == (0, 2_000.0, 5_000.0)
    assert boot_ms() - began_ms < 4_000
    site.close()


def test_the_control_that_cannot_hold_is_asked_when_it_is_due(paced: IntakeRig) -> None:
    camera = paced.greeted()
    ends(paced, paced.begun(camera), EMPTY)
    assert asked_again(paced, camera).hold_ms == 0


def test_nobody_holds_anything_where_each_picture_is_to_be_looked_at(site: IntakeRig) -> None:
    camera = holder(site)
    ends(site, site.begun(camera), EMPTY)
    assert asked_again(site, camera).hold_ms == 0


def test_what_shows_somebody_may_not_be_held(paced: IntakeRig) -> None:
    camera = holder(paced)
    ends(paced, paced.begun(camera), SOMEBODY)
    assert asked_again(paced, camera).hold_ms == 0


def test_a_room_that_has_just_emptied_is_held_for_no_longer_than_it_was_empty(
    paced: IntakeRig,
) -> None:
    camera = holder(paced)
    somebody = paced.begun(camera)
    ends(paced, somebody, SOMEBODY)
    empty = paced.begun(camera)
    ends(paced, empty, EMPTY)
    credit = asked_again(paced, camera)
    assert credit.hold_ms == pytest.approx(empty.captured_ms - somebody.captured_ms)
    assert credit.hold_ms < 2_000.0


def test_the_answer_to_a_hello_repeats_what_may_be_held(paced: IntakeRig) -> None:
    camera = holder(paced)
    ends(paced, paced.begun(camera), EMPTY)
    held = asked_again(paced, camera)
    heard = len(camera.credits)
    camera.hello(holds=True)
    paced.until(lambda: len(camera.credits) > heard)
    assert (camera.credit.hold_ms, camera.credit.granted) == (held.hold_ms, held.granted)


def test_a_credit_that_may_be_held_keeps_no_thread_from_the_others() -> None:
    site = IntakeRig(1, pace=Pace(50.0, 20.0), repeats=Repeats(2_000.0))
    camera = holder(site)
    ends(site, site.begun(camera), EMPTY)
    asked_again(site, camera)
    other = site.greeted("window")
    assert other.credit.granted == 1
    assert (site.intake.ledger.asked, site.intake.control.overcommit) == (1, 0)
    site.close()


def test_a_frame_that_was_held_says_nothing_of_the_time_that_frames_take(paced: IntakeRig) -> None:
    camera = holder(paced)
    ends(paced, paced.begun(camera), EMPTY)
    asked_again(paced, camera)
    (session,) = paced.intake.sessions.all
    session.fetch_ms, session.asked_ms = 5.0, boot_ms() - 1_500.0
    paced.begun(camera)
    assert session.fetch_ms == 5.0


@pytest.mark.parametrize("become", ["paused", "silent"])
def test_what_may_be_held_ends_with_the_credit(paced: IntakeRig, become: str) -> None:
    camera = holder(paced)
    ends(paced, paced.begun(camera), EMPTY)
    asked_again(paced, camera)
    INELIGIBLE[become](paced)
    (session,) = paced.intake.sessions.all
    assert (session.hold, session.account.may_hold) == (None, False)
