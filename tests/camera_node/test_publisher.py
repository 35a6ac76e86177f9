"""The camera's side of the frame protocol, spoken to by fake workers over real sockets."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from roommood.camera_node import publisher as publisher_module
from roommood.camera_node import worker_connection as connection_module
from roommood.camera_node.frames import Outgoing
from roommood.camera_node.publisher import Publisher
from roommood.shared.clock import boot_ms
from roommood.shared.opencv import Pixels
from roommood.shared.protocol.limits import CREDIT_VOID_MS, MAX_INTERVAL_US
from roommood.shared.protocol.messages import Hello
from roommood.shared.transport.sockets import send
from tests import hooks
from tests.shared.fakes import FakeWorker, Rig
from tests.shared.made import hello
from tests.shared.peers import free_address


class PublisherRig(Rig):
    """A Publisher and the workers it is to find."""

    def __init__(self) -> None:
        super().__init__()
        self.publisher: Publisher | None = None

    def worker(self, name: str, address: str = "") -> FakeWorker:
        worker = FakeWorker(self.context, self.poller, address or free_address(), name)
        self.peers.append(worker)
        return worker

    def publish(self, *addresses: str) -> Publisher:
        status = lambda: "ok"  # noqa: E731
        self.publisher = Publisher(self.context, self.poller, addresses, hello, status, 40_000)
        return self.publisher

    def tick(self) -> None:
        assert self.publisher
        self.publisher.tick()
        super().tick()

    def served(self, name: str = "worker") -> tuple[Publisher, FakeWorker]:
        """A camera that one worker has granted a frame."""
        worker = self.worker(name)
        publisher = self.publish(worker.address)
        self.until(lambda: worker.hellos)
        worker.say(granted=1)
        self.until(publisher.may_send)
        return publisher, worker

    def between_two(self) -> tuple[Publisher, FakeWorker, FakeWorker]:
        """A Publisher that has said Hello to two workers, which have not answered yet."""
        first, second = self.worker("one"), self.worker("two")
        publisher = self.publish(first.address, second.address)
        self.until(lambda: first.hellos and second.hellos)
        return publisher, first, second

    def close(self) -> None:
        if self.publisher:
            self.publisher.close()
        super().close()


@pytest.fixture
def site() -> Iterator[PublisherRig]:
    rig = PublisherRig()
    yield rig
    rig.close()


def picture(captured_ms: float | None = None, jpeg: bytes = b"\xff\xd8\xffpicture") -> Outgoing:
    return Outgoing(jpeg, 640, 480, boot_ms() if captured_ms is None else captured_ms)


# Hello


def test_hello_goes_first_and_numbers_the_connection(site: PublisherRig) -> None:
    worker = site.worker("worker")
    site.publish(worker.address)
    site.until(lambda: worker.hellos)
    _, heard = worker.hellos[0]
    assert (heard.camera, heard.connection, heard.sent) == ("door", 1, 0)
    assert worker.frames == []


def test_hello_is_said_each_second(site: PublisherRig, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, worker = site.served()
    heard = len(worker.hellos)
    site.tick()
    assert len(worker.hellos) == heard
    later = boot_ms() + 1001
    monkeypatch.setattr(publisher_module, "boot_ms", lambda: later)
    site.until(lambda: len(worker.hellos) == heard + 1)
    assert publisher.connected_workers == 1


def test_a_frame_stands_for_a_hello_but_not_for_ever(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, worker = site.served()
    heard, began_ms = len(worker.hellos), boot_ms()
    clock = [began_ms]
    monkeypatch.setattr(publisher_module, "boot_ms", lambda: clock[0])
    while len(worker.frames) < 7:
        number = len(worker.frames) + 1
        worker.say(granted=number)
        site.until(publisher.may_send)
        clock[0] = began_ms + number * 999
        assert publisher.send(picture(clock[0]))
        site.until(lambda: worker.frames[number - 1 :])  # noqa: B023
    assert len(worker.hellos) == heard + 1
    assert worker.hellos[-1][1].sent in (4, 5)


def test_a_worker_that_gets_no_frame_hears_hello_each_second_and_so_do_all(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = site.worker("first"), site.worker("other")
    publisher = site.publish(first.address, other.address)
    site.until(lambda: first.hellos and other.hellos)
    first.say(granted=1)
    site.until(publisher.may_send)
    later = boot_ms() + 1001
    monkeypatch.setattr(publisher_module, "boot_ms", lambda: later)
    assert publisher.send(picture(later))
    site.until(lambda: len(first.hellos) == len(other.hellos) == 2)
    assert {peer.hellos[-1][1].health.sent for peer in (first, other)} == {1}


def test_a_status_that_changes_is_told_within_a_second(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, worker = site.served()
    later, plain = boot_ms() + 1500, hello()
    monkeypatch.setattr(publisher_module, "boot_ms", lambda: later)
    frozen = replace(plain, health=replace(plain.health, source="frozen: 12 s"))
    hooks.a_camera_says_of_itself(monkeypatch, publisher, lambda: frozen)
    assert publisher.send(picture(later))
    site.until(lambda: worker.hellos[-1][1].health.source == "frozen: 12 s")


def test_a_status_that_only_counts_on_is_no_news(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, worker = site.served()
    began_ms, plain = boot_ms(), hello()
    clock = [began_ms]
    monkeypatch.setattr(publisher_module, "boot_ms", lambda: clock[0])

    def dark() -> Hello:
        source = f"black: no light, or covered, for {clock[0] - began_ms:.0f} s"
        return replace(plain, health=replace(plain.health, source=source))

    hooks.a_camera_says_of_itself(monkeypatch, publisher, dark)
    heard = len(worker.hellos)
    for number in range(1, 6):
        worker.say(granted=number)
        site.until(publisher.may_send)
        clock[0] = began_ms + number * 999
        assert publisher.send(picture(clock[0]))
        site.until(lambda: worker.frames[number - 1 :])  # noqa: B023
    (heard_hello,) = worker.hellos[heard:]
    assert heard_hello[1].health.source.startswith("black: ")


def test_a_worker_that_is_left_settles_first_what_it_was_sent(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, worker = site.served()
    assert publisher.send(picture())
    monkeypatch.setattr(publisher._membership, "addresses", lambda _now_ms: [])
    later = boot_ms() + 600
    monkeypatch.setattr(publisher_module, "boot_ms", lambda: later)
    site.until(lambda: worker.frames)
    worker.say(granted=5, luma=True)
    site.until(lambda: publisher.luma_suffices)
    assert not publisher.may_send()
    worker.say(granted=5, started=1)
    later += 600
    site.until(lambda: not publisher.states())
    assert publisher.lost_with_worker == 0


def test_without_a_worker_nothing_may_be_sent(site: PublisherRig) -> None:
    publisher = site.publish(free_address())
    publisher.tick()
    assert not publisher.may_send()
    assert not publisher.send(picture())
    assert publisher.sent == 0


# Frames


def test_a_frame_is_sent_on_credit_and_only_on_credit(site: PublisherRig) -> None:
    publisher, worker = site.served()
    assert publisher.send(picture(boot_ms() - 25.0))
    assert not publisher.may_send()
    assert not publisher.send(picture())
    site.until(lambda: worker.frames)
    (frame,) = worker.frames
    assert (frame.camera, frame.room, frame.session_id) == ("door", "kitchen", "b00t")
    assert (frame.seq, frame.width, frame.jpeg) == (0, 640, b"\xff\xd8\xffpicture")
    assert 25.0 <= frame.age_ms < 10_000
    assert (publisher.sent, publisher.unsettled) == (1, 1)


def test_credit_is_taken_in_without_a_look_at_anything_else(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, worker = site.served()
    assert publisher.send(picture())
    worker.say(granted=2)
    site.poller.poll(20_000)
    publisher.take_messages({})
    assert not publisher.may_send(), "what a poll did not find is not read"
    monkeypatch.setattr(publisher, "tick", publisher.take_messages)
    site.until(publisher.may_send)


def test_a_settled_frame_is_under_way_no_more_and_tells_its_transit(site: PublisherRig) -> None:
    publisher, worker = site.served()
    publisher.send(picture())
    worker.say(granted=2, started=1, transit_ms=33.0)
    site.until(lambda: not publisher.unsettled)
    assert publisher.last_transit_ms == 33.0
    assert publisher.may_send()


def test_an_interval_is_from_capture_to_capture_of_what_was_sent(site: PublisherRig) -> None:
    publisher, worker = site.served()
    worker.say(granted=4)
    start = boot_ms()
    for captured_ms in (start, start + 120.0, start + 60_000.0, start + 59_000.0):
        site.until(publisher.may_send)
        publisher.send(picture(captured_ms))
        if publisher.sent == 1:
            site.until(lambda: worker.frames)
            worker.say(granted=4)
            site.until(publisher.may_send)
    site.until(lambda: len(worker.frames) == 4)
    intervals = [frame.interval_us for frame in worker.frames]
    assert intervals == [40_000, 120_000, MAX_INTERVAL_US, 0]
    assert [frame.seq for frame in worker.frames] == [0, 1, 2, 3]


WALL = np.full((60, 80), 100, np.uint8)


def holding(publisher: Publisher, captured_ms: float, glance: Pixels = WALL) -> bool:
    return publisher.holds(captured_ms, lambda: glance, 30.0)


def emptied(site: PublisherRig) -> tuple[Publisher, FakeWorker, float]:
    """A camera whose worker has found nobody in its first frame, and when that was captured."""
    publisher, worker = site.served()
    start_ms = boot_ms() - 700.0
    assert publisher.send(replace(picture(start_ms), glance=WALL))
    worker.say(granted=2, started=1, empty_seq=0, hold_ms=2_000.0, look_ms=500.0)
    site.until(lambda: publisher.may_hold)
    return publisher, worker, start_ms


def test_a_picture_that_looks_as_an_empty_one_is_held_until_the_next_look(
    site: PublisherRig,
) -> None:
    publisher, worker, _ = emptied(site)
    assert publisher.may_send()
    assert holding(publisher, boot_ms())
    assert not publisher.may_send()
    assert 0 < publisher.until_look_ms() <= 500.0
    assert len(worker.frames) <= 1


def test_whoever_comes_in_is_sent_at_once_with_the_time_that_was_empty(site: PublisherRig) -> None:
    publisher, worker, start_ms = emptied(site)
    assert holding(publisher, start_ms + 600.0)
    site.until(publisher.may_send)
    somebody = WALL.copy()
    somebody[20:40, 10:20] = 30
    now_ms = boot_ms()
    assert not holding(publisher, now_ms, somebody)
    assert publisher.send(picture(now_ms))
    site.until(lambda: len(worker.frames) == 2)
    frame = worker.frames[1]
    assert (frame.seq, frame.held_us) == (2, 600_000)
    assert frame.interval_us == round((now_ms - start_ms - 600.0) * 1000)


def test_where_another_worker_asks_for_a_frame_nothing_is_held(site: PublisherRig) -> None:
    worker, other = site.worker("worker"), site.worker("other")
    publisher = site.publish(worker.address, other.address)
    site.until(lambda: worker.hellos and other.hellos)
    worker.say(granted=1)
    site.until(publisher.may_send)
    assert publisher.send(replace(picture(boot_ms() - 700.0), glance=WALL))
    worker.say(granted=2, started=1, empty_seq=0, hold_ms=2_000.0, look_ms=500.0)
    site.until(lambda: publisher.may_hold)
    other.say(granted=1)
    site.until(lambda: not publisher.may_hold)
    assert not holding(publisher, boot_ms())
    assert publisher.may_send()


def test_before_the_next_look_is_due_nothing_goes_to_a_worker_that_lets_it_be_held(
    site: PublisherRig,
) -> None:
    publisher, worker = site.served()
    assert publisher.send(replace(picture(), glance=WALL))
    worker.say(granted=2, started=1, empty_seq=0, hold_ms=2_000.0, look_ms=60_000.0)
    site.until(lambda: publisher.until_look_ms() < math.inf)
    assert not publisher.may_send()
    assert not publisher.send(picture())
    worker.say(granted=2, started=1)
    site.until(publisher.may_send)
    assert publisher.send(picture())


def test_a_frame_goes_to_the_worker_that_will_be_served_soonest(site: PublisherRig) -> None:
    slow, fast = site.worker("slow"), site.worker("fast")
    publisher = site.publish(slow.address, fast.address)
    site.until(lambda: slow.hellos and fast.hellos)
    slow.say(granted=1, ready_ms=9_000.0)
    fast.say(granted=1, ready_ms=10.0)
    for _ in range(2):
        site.until(lambda: all(link.window.worker_id for link in publisher._links.values()))
        assert publisher.send(picture())
    site.until(lambda: slow.frames and fast.frames)
    assert (fast.frames[0].seq, slow.frames[0].seq) == (0, 1)


def test_of_several_free_workers_each_gets_its_turn(site: PublisherRig) -> None:
    workers = [site.worker("one"), site.worker("two")]
    publisher = site.publish(*(worker.address for worker in workers))
    site.until(lambda: all(worker.hellos for worker in workers))
    for worker in workers:
        worker.say(granted=4)
    site.until(
        lambda: (
            publisher.may_send()
            and all(link.window.worker_id for link in publisher._links.values())
        )
    )
    for _ in range(4):
        assert publisher.send(picture())
    site.until(lambda: sum(len(worker.frames) for worker in workers) == 4)
    assert [len(worker.frames) for worker in workers] == [2, 2]


def test_credit_of_a_worker_not_heard_of_is_void(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, _ = site.served()
    later = boot_ms() + CREDIT_VOID_MS + 100
    monkeypatch.setattr(publisher_module, "boot_ms", lambda: later)
    assert not publisher.may_send()
    assert not publisher.send(picture())


@pytest.mark.parametrize("closing", [{"leaving": True}, {"refused": "superseded"}])
def test_a_worker_that_closes_is_sent_nothing(site: PublisherRig, closing: dict[str, Any]) -> None:
    publisher, worker = site.served()
    worker.say(granted=1, **closing)
    site.until(lambda: not publisher.may_send())
    assert not publisher.paused


def test_a_room_is_paused_when_one_worker_says_so(site: PublisherRig) -> None:
    publisher, first, second = site.between_two()
    assert not publisher.paused
    first.say(paused=True)
    second.say(granted=1)
    site.until(publisher.may_send)
    site.until(lambda: publisher.paused)
    first.say(granted=1)
    site.until(lambda: not publisher.paused)


def test_who_knows_nothing_of_pauses_changes_none(site: PublisherRig) -> None:
    publisher, first, second = site.between_two()
    first.say(paused=True)
    second.say(granted=1, pauses_unknown=True)
    site.until(publisher.may_send)
    site.until(lambda: publisher.paused)
    first.say(granted=1, pauses_unknown=True)
    site.until(lambda: len(list(publisher._asking(boot_ms()))) == 2)
    assert publisher.paused, "neither knows any more"
    second.say(granted=1)
    site.until(lambda: not publisher.paused)


def test_a_camera_that_starts_while_nobody_knows_is_closed_by_who_remembers(
    site: PublisherRig,
) -> None:
    """As while the aggregator is away; who has been told since that it is over knows better."""
    publisher, first, second = site.between_two()
    second.say(granted=1, pauses_unknown=True)
    first.say(paused=True, pauses_unknown=True)
    site.until(lambda: publisher.paused)
    second.say(granted=1)
    site.until(lambda: not publisher.paused)


def test_an_older_worker_opens_nothing_while_another_remembers_a_pause(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while its aggregator is away: it does not say that nobody has told it yet."""
    publisher, first, second = site.between_two()
    first.say(paused=True, pauses_unknown=True)
    second.say(granted=1, pauses_unknown=None)
    site.until(lambda: publisher.may_send() and publisher.paused)
    _later(monkeypatch)
    second.say(granted=2, pauses_unknown=None)
    site.until(lambda: len(list(publisher._asking(boot_ms()))) == 1)
    assert publisher.paused
    first.say(granted=1)
    site.until(lambda: not publisher.paused)


def test_an_older_worker_that_takes_anothers_place_opens_nothing_before_it_can_have_been_told(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a release is taken back while a room is paused."""
    publisher, worker = site.served()
    worker.say(paused=True)
    site.until(lambda: publisher.paused)
    worker.say(worker_id="older", granted=1, pauses_unknown=None)
    site.until(publisher.may_send)
    assert publisher.paused
    _later(monkeypatch)
    worker.say(worker_id="older", granted=1, pauses_unknown=None)
    site.until(lambda: not publisher.paused)


def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until an older worker is taken to have been told."""
    untold_ms = connection_module._UNTOLD_MS
    monkeypatch.setattr(publisher_module, "boot_ms", lambda: boot_ms() + untold_ms)


def test_a_worker_that_is_gone_keeps_no_room_paused(site: PublisherRig) -> None:
    publisher, first, second = site.between_two()
    first.say(paused=True)
    second.say(granted=1)
    site.until(publisher.may_send)
    site.until(lambda: publisher.paused)
    first.close()
    site.peers.remove(first)
    site.until(lambda: not publisher.paused)


def test_a_credit_that_is_none_is_ignored(site: PublisherRig) -> None:
    publisher, worker = site.served()
    routing, _ = worker.hellos[-1]
    send(worker.router, [routing, b"noise"])
    send(worker.router, [routing, b"RM\x63C\x80"])
    worker.say(granted=1, paused=True)
    assert site.until(lambda: publisher.paused), "the credit after them counts"


# Workers come and go


def test_a_successor_at_the_same_address_is_greeted_and_the_loss_booked(site: PublisherRig) -> None:
    publisher, worker = site.served("first")
    publisher.send(picture())
    site.until(lambda: worker.frames)
    worker.close()
    site.peers.remove(worker)
    site.until(lambda: not publisher.connected_workers)
    assert not publisher.may_send()
    successor = site.worker("second", worker.address)
    site.until(lambda: successor.hellos)
    _, heard = successor.hellos[0]
    assert (heard.connection, heard.sent) == (2, 1)
    successor.say(granted=2, started=1)
    site.until(publisher.may_send)
    assert (publisher.lost_with_worker, publisher.unsettled) == (1, 0)
    assert publisher.send(picture())
    site.until(lambda: successor.frames)
    assert [frame.seq for frame in successor.frames] == [1]


def test_a_learned_worker_is_greeted(site: PublisherRig) -> None:
    _, worker = site.served()
    other = site.worker("other")
    worker.say(workers=(other.address,))
    ((_, heard),) = site.until(lambda: other.hellos)
    assert heard.camera == hello().camera


def test_a_learned_address_of_the_same_worker_is_closed_before_a_frame_goes_there(
    site: PublisherRig,
) -> None:
    publisher, worker = site.served()
    alias = worker.address.replace("127.0.0.1", "localhost")
    worker.say(workers=(alias,))
    site.until(lambda: len({routing for routing, _ in worker.hellos}) == 2)
    assert len(publisher._links) == 2
    worker.say(granted=1)  # the answer to the Hello of the second socket

    def is_alone() -> bool:
        known = [link.window.worker_id for link in publisher._links.values()]
        assert known.count("worker") == 1
        return len(known) == 1

    site.until(is_alone)
    assert list(publisher._links) == [worker.address]
    assert (publisher.unsettled, publisher.lost_with_worker) == (0, 0)


def test_a_learned_address_goes_when_the_configured_one_of_its_worker_is_back(
    site: PublisherRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, worker = site.served()
    own, alias = worker.address, worker.address.replace("127.0.0.1", "localhost")
    publisher._membership.learn([alias], own, boot_ms())

    def until_met(*used: str) -> tuple[bytes, Hello]:
        """Those are used, and the worker has answered the last one's Hello, which this is."""
        known = {routing for routing, _ in worker.hellos}
        monkeypatch.setattr(publisher._membership, "addresses", lambda _now_ms: list(used))
        site.until(lambda: list(publisher._links) == list(used))
        met = site.until(lambda: [hello for hello in worker.hellos if hello[0] not in known])[0]
        worker.hellos.append(met)
        worker.say(granted=1)
        site.until(lambda: publisher._links[used[-1]].window.worker_id)
        return met

    met_by_alias = until_met(alias)
    assert publisher.send(picture())
    site.until(lambda: worker.frames)
    until_met(alias, own)
    monkeypatch.undo()
    site.until(lambda: publisher._links[alias].window.is_closing)
    assert publisher.unsettled == 1, "it stays until what was sent on it is settled"
    worker.hellos.append(met_by_alias)
    worker.say(granted=1, started=1)
    site.until(lambda: list(publisher._links) == [own])
    assert publisher.lost_with_worker == 0


def test_a_worker_that_refuses_all_it_is_sent_does_not_serve(site: PublisherRig) -> None:
    publisher, home = site.served()
    other = site.worker("other")
    home.say(workers=(other.address,))
    site.until(lambda: other.hellos)
    for number, refused in ((1, 1), (2, 1)):
        other.say(granted=number, started=number - 1, refused_frames=number - 1)
        site.until(publisher.may_send)
        assert publisher.send(picture())
        site.until(lambda: other.frames[number - 1 :])  # noqa: B023
        other.say(granted=number, started=number, refused_frames=refused, refused_why="stale")
        site.until(lambda: not publisher.unsettled)
        assert bool(publisher._membership._serving) == (number > refused)


@pytest.mark.parametrize("garbage", ["tcp://*:5701", "tcp://..:1", "tcp://-x:5", "noise", ""])
def test_a_learned_address_that_is_none_is_left_alone(site: PublisherRig, garbage: str) -> None:
    publisher, worker = site.served()
    other = site.worker("other")
    worker.say(workers=(garbage, other.address))
    site.until(lambda: other.hellos)
    assert set(publisher._links) == {worker.address, other.address}


# The end


def test_what_is_unsettled_at_the_end_is_written_off_once(site: PublisherRig) -> None:
    publisher, worker = site.served()
    publisher.send(picture())
    publisher.write_off()
    assert (publisher.unsettled, publisher.lost_with_worker) == (0, 1)
    publisher.say_hello_now()
    site.until(lambda: worker.hellos[-1][1].sent == 1)
    publisher.close()
    assert publisher.lost_with_worker == 1


def test_close_takes_every_socket_from_the_poller(site: PublisherRig) -> None:
    publisher, worker = site.served()
    publisher.close()
    assert [socket for socket, _ in site.poller.sockets] == [worker.router]


def test_luma_suffices_where_every_worker_says_so_and_not_before(site: PublisherRig) -> None:
    first, second = site.worker("one"), site.worker("two")
    publisher = site.publish(first.address, second.address)
    assert not publisher.luma_suffices
    site.until(lambda: first.hellos and second.hellos)
    first.say(granted=1, luma=True)
    site.until(lambda: publisher.luma_suffices)
    second.say(granted=1)
    site.until(lambda: not publisher.luma_suffices)
    second.say(granted=1, luma=True)
    site.until(lambda: publisher.luma_suffices)
