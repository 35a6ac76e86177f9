"""Who reports to an aggregator: few enough to remember, and one worker to a connection."""

import logging

import pytest

from roommood.aggregator.counting import peers as peers_module
from roommood.aggregator.counting.peers import Peers
from roommood.shared.protocol.limits import MAX_ADDRESSES, WORKER_SILENT_MS
from roommood.shared.protocol.messages import Report


def report(worker_id: str, **changes: object) -> Report:
    plain: dict[str, object] = {"worker_id": worker_id, "address": f"tcp://{worker_id}:1"}
    return Report(sent_ms=1.0, **plain | changes)  # type: ignore[arg-type]


def test_a_worker_is_known_by_its_address_until_it_is_silent() -> None:
    peers = Peers()
    peers.meet(b"a", report("one"), 1000.0)
    peers.meet(b"b", report("two"), 2000.0)
    assert peers.addresses() == ("tcp://one:1", "tcp://two:1")
    peers.drop_silent(1000.0 + WORKER_SILENT_MS + 1)
    assert peers.addresses() == ("tcp://two:1",)


def test_a_worker_that_leaves_is_gone_but_its_last_health_is_written() -> None:
    peers = Peers()
    peers.meet(b"a", report("one", health={"up_s": 1.0}, leaving=True), 1000.0)
    assert len(peers) == 0
    assert [health.worker_id for health in peers.take_health()] == ["one"]
    assert peers.take_health() == []


def test_while_redis_is_away_health_waits_of_so_many_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers_module, "MAX_WORKERS", 3)
    peers = Peers()
    for n in range(9):
        peers.meet(b"%d" % n, report(f"w{n}", health={"up_s": 1.0}, leaving=True), 1000.0)
    peers.meet(b"a", report("w0", health={"up_s": 2.0}), 2000.0)
    waiting = {each.worker_id: each.health for each in peers.take_health()}
    assert waiting == {"w0": {"up_s": 2.0}, "w1": {"up_s": 1.0}, "w2": {"up_s": 1.0}}


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.getMessage(), record.__dict__["fields"]["peer"]) for record in caplog.records]


def test_that_a_worker_left_is_told_once_though_it_says_so_until_it_is_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    peers = Peers()
    for name in ("one", "two"):
        peers.meet(name.encode(), report(name), 1000.0)
    caplog.clear()
    for _ in range(3):
        for name in ("one", "two"):
            peers.meet(name.encode(), report(name, leaving=True), 1000.0)
    assert logged(caplog) == [("worker left", "one"), ("worker left", "two")]
    caplog.clear()
    peers.meet(b"one", report("one"), 1000.0)
    peers.meet(b"one", report("one", leaving=True), 1000.0)
    assert logged(caplog) == [("worker found", "one"), ("worker left", "one")]


def test_names_that_one_connection_makes_up_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    peers = Peers()
    for number in range(3_000):
        peers.meet(b"liar", report(f"name-{number}", leaving=True), 1000.0)
    assert 900 < len(logged(caplog)) < 2_900


def test_a_worker_that_comes_back_over_another_connection_keeps_its_clock() -> None:
    peers = Peers()
    first = peers.meet(b"a", report("one"), 1000.0)
    again = peers.meet(b"b", report("one"), 1500.0)
    assert again is first
    peers.meet(b"a", report("two"), 1600.0)
    assert len(peers) == 2


def test_a_connection_is_one_workers_however_many_names_it_says() -> None:
    peers = Peers()
    peers.meet(b"honest", report("honest", health={"up_s": 1.0}), 1000.0)
    for number in range(1000):
        peers.meet(b"liar", report(f"name-{number}", health={"up_s": 1.0}), 1000.0)
    assert len(peers) == 2
    assert len(peers.take_health()) == 2
    assert "tcp://honest:1" in peers.addresses()


def test_at_most_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "MAX_WORKERS", 3)
    peers = Peers()
    for number in range(5):
        peers.meet(bytes([number]), report(f"w{number}"), 1000.0 + number)
    assert peers.addresses() == ("tcp://w2:1", "tcp://w3:1", "tcp://w4:1")


def liars(peers: Peers, count: int, now_ms: float) -> None:
    """Each over a connection of its own; their addresses come first by name."""
    for number in range(count):
        name = f"liar-{number}"
        peers.meet(name.encode(), report(name, address=f"tcp://10.0.0.1:{number + 1}"), now_ms)


def test_names_that_somebody_makes_up_do_not_push_out_those_that_were_there() -> None:
    peers = Peers()
    peers.meet(b"a", report("one", address="tcp://192.168.0.2:5701"), 1000.0)
    liars(peers, 300, 1001.0)
    assert len(peers.addresses()) == MAX_ADDRESSES
    assert "tcp://192.168.0.2:5701" in peers.addresses()


def test_whose_results_are_counted_goes_before_whoever_was_there_first() -> None:
    peers = Peers()
    liars(peers, 300, 1000.0)
    peers.meet(b"a", report("one", address="tcp://192.168.0.2:5701"), 2000.0)
    assert "tcp://192.168.0.2:5701" not in peers.addresses()
    peers.counted(b"a")
    peers.counted(b"unknown")
    assert "tcp://192.168.0.2:5701" in peers.addresses()


def test_and_keeps_its_place_over_a_start_of_its_worker() -> None:
    peers = Peers()
    peers.meet(b"a", report("one", address="tcp://192.168.0.2:5701"), 1000.0)
    peers.counted(b"a")
    peers.drop_silent(1000.0 + WORKER_SILENT_MS + 1)
    liars(peers, 300, 8000.0)
    peers.meet(b"b", report("two", address="tcp://192.168.0.2:5701"), 9000.0)
    assert "tcp://192.168.0.2:5701" in peers.addresses()


def test_nor_is_it_forgotten_for_newcomers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "MAX_WORKERS", 3)
    peers = Peers()
    peers.meet(b"a", report("one"), 1000.0)
    peers.counted(b"a")
    liars(peers, 10, 2000.0)
    assert "tcp://one:1" in peers.addresses()
    assert len(peers) == 3
