"""What a worker says to its cameras, and when; the cameras' sockets are real."""

from collections.abc import Iterator
from typing import Final

import pytest
import zmq

from roommood.inference_worker.serving.answers import Answers
from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.credit import CreditControl
from roommood.inference_worker.serving.ledger import Ledger
from roommood.inference_worker.serving.sessions import SessionTable
from roommood.shared.protocol import wire
from roommood.shared.transport.sockets import bind_frames, close, receive_from
from tests.shared.fakes import PolledCamera, Rig
from tests.shared.peers import free_address

_LAST_MS: Final = 1e9


class AnswersRig(Rig):
    """Answers at a real socket; of each answer it is known when it was given."""

    def __init__(self) -> None:
        super().__init__()
        address, ledger = free_address(), Ledger()
        self.router = bind_frames(self.context, address, insecure=False)
        self.poller.register(self.router, zmq.POLLIN)
        self.camera = PolledCamera(self.context, address, self.poller, "door")
        self.peers.append(self.camera)
        self.sessions = SessionTable(ledger)
        control = CreditControl(1, ledger)
        self.answers = Answers(self.router, "worker", self.sessions, control, luma=False)

    def hears_hello(
        self, now_ms: float, camera: str = "door", connection: int = 1
    ) -> CameraSession:
        self.camera.hello(camera=camera, connection=connection)
        message = self.until(lambda: receive_from(self.router, keyed=False))
        assert message is not None
        routing_id, hello = message[1]
        session = self.sessions.hello(routing_id, wire.decode_hello(hello), now_ms)
        self.answers.answer_hello(session)
        return session

    def given_ms(self) -> list[float]:
        """When each answer was given; a last one, of which it is not told, ends them."""
        self.answers.tell(self.sessions.all[-1], _LAST_MS)
        self.until(lambda: self.camera.credits and self.camera.credit.sent_ms == _LAST_MS)
        return [credit.sent_ms for credit in self.camera.credits[:-1]]

    def close(self) -> None:
        close(self.router)
        super().close()


@pytest.fixture
def site() -> Iterator[AnswersRig]:
    rig = AnswersRig()
    yield rig
    rig.close()


def test_the_first_hello_of_a_connection_is_answered_at_once(site: AnswersRig) -> None:
    site.hears_hello(5.0)
    site.answers.flush(5.0)
    site.hears_hello(6.0, connection=2)
    site.answers.flush(6.0)
    assert site.given_ms() == [5.0, 6.0]


def test_later_hellos_are_answered_in_rounds(site: AnswersRig) -> None:
    site.hears_hello(0.0)
    site.answers.flush(0.0)
    site.hears_hello(1.0)
    for now_ms in (1.0, 19.0, 20.0, 40.0):
        site.answers.flush(now_ms)
    site.hears_hello(1_000.0)
    site.answers.flush(1_000.0)
    assert site.given_ms() == [0.0, 20.0, 1_000.0]


def test_an_answer_waits_for_a_tenth_of_a_second_where_nothing_else_comes(site: AnswersRig) -> None:
    site.hears_hello(0.0)
    site.answers.flush(0.0)
    assert site.answers.next_flush_ms(0.0) == float("inf")
    site.hears_hello(1.0)
    assert site.answers.next_flush_ms(1.0) == 99.0


def test_what_is_said_meanwhile_is_the_answer_with_its_addresses(site: AnswersRig) -> None:
    session = site.hears_hello(0.0)
    site.answers.flush(0.0)
    site.answers.workers = ("tcp://desk-2:5701",)
    site.hears_hello(1.0)
    site.answers.tell(session, 2.0)
    site.answers.flush(30.0)
    assert site.given_ms() == [0.0, 2.0]
    assert [credit.workers for credit in site.camera.credits][:2] == [(), ("tcp://desk-2:5701",)]


def test_an_answer_says_how_things_stand_when_it_goes_out(site: AnswersRig) -> None:
    """Older words after newer ones would take credit back."""
    session = site.hears_hello(0.0)
    site.answers.flush(0.0)
    site.hears_hello(1.0)
    site.sessions.grant(session, 2.0)
    site.answers.tell(session, 2.0)
    site.answers.flush(30.0)
    assert site.given_ms() == [0.0, 2.0]
    assert site.camera.credit.granted == 1


def test_whoever_was_evicted_meanwhile_hears_not_a_word(site: AnswersRig) -> None:
    session = site.hears_hello(0.0)
    site.sessions.evict(session, "revoked")
    site.answers.flush(0.0)
    assert site.given_ms() == []


def test_of_two_cameras_on_one_connection_the_one_that_is_there_is_answered(
    site: AnswersRig,
) -> None:
    site.hears_hello(0.0, camera="door")
    site.hears_hello(0.0, camera="hall", connection=2)
    site.answers.flush(0.0)
    assert site.given_ms() == [0.0]
    assert site.camera.credits[0].connection == 2
