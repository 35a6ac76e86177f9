"""The worker's side of the result protocol, spoken to by fake aggregators over real sockets."""

import dataclasses
from collections.abc import Iterator

import pytest

from roommood.inference_worker.serving import reporter as reporter_module
from roommood.inference_worker.serving.reporter import Reporter
from roommood.shared.clock import boot_ms
from roommood.shared.protocol.limits import MODELS_EVERY_MS, REPORT_EVERY_MS, REPORT_HWM
from roommood.shared.protocol.messages import ModelReport, Report
from roommood.shared.transport.sockets import send
from tests import hooks
from tests.shared.fakes import FakeAggregator, Rig
from tests.shared.made import face, result
from tests.shared.peers import free_address

MODEL = ModelReport("net-1", (), 1.0, {})


class ReporterRig(Rig):
    """A Reporter and two aggregators, of which the second may come later."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses = [free_address(), free_address()]
        self.leaving, self.made = False, 0
        self.reporter = Reporter(self.context, self.poller, self.addresses)

    def identity(self) -> Report:
        return Report("worker", "", boot_ms(), leaving=self.leaving)

    def aggregator(self, place: int) -> FakeAggregator:
        aggregator = FakeAggregator(self.context, self.poller, self.addresses[place])
        self.peers.append(aggregator)
        self.until(lambda: aggregator.reports)
        return aggregator

    def lose(self, aggregator: FakeAggregator) -> None:
        aggregator.close()
        self.peers.remove(aggregator)
        self.until(lambda: self.reporter.connected == len(self.peers))

    def tick(self) -> None:
        identity = self.identity()
        self.reporter.tick(identity)
        if self.reporter.report_due():
            self.reporter.send_report(lambda: self.health(identity), identity, (MODEL,))
        super().tick()

    def health(self, identity: Report) -> Report:
        self.made += 1
        return dataclasses.replace(identity, health={"up_s": self.made})

    def add(self, count: int = 1) -> None:
        for seq in range(count):
            self.reporter.add(result(seq, face()), boot_ms())

    def close(self) -> None:
        self.reporter.close()
        super().close()


@pytest.fixture
def site() -> Iterator[ReporterRig]:
    rig = ReporterRig()
    yield rig
    rig.close()


def later(monkeypatch: pytest.MonkeyPatch, by_ms: float) -> None:
    now_ms = boot_ms() + by_ms
    monkeypatch.setattr(reporter_module, "boot_ms", lambda: now_ms)


# Health


def test_an_aggregator_is_told_of_health_and_models_as_soon_as_it_is_there(
    site: ReporterRig,
) -> None:
    aggregator = site.aggregator(0)
    assert aggregator.reports[0].health == {"up_s": 1.0}
    assert aggregator.reports[0].models == (MODEL,)


def test_health_is_told_each_second_and_models_each_minute(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregator = site.aggregator(0)
    later(monkeypatch, REPORT_EVERY_MS)
    site.until(lambda: len(aggregator.reports) == 2)
    assert aggregator.reports[1].models == ()
    later(monkeypatch, MODELS_EVERY_MS)
    site.until(lambda: len(aggregator.reports) == 3)
    assert aggregator.reports[2].models == (MODEL,)


def test_every_aggregator_is_told_of_the_worker_and_its_models_and_one_of_its_health(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = site.aggregator(0), site.aggregator(1)
    for report in (first.reports[0], second.reports[0]):
        assert (report.worker_id, report.models) == ("worker", (MODEL,))
    assert (bool(first.reports[0].health), bool(second.reports[0].health)) == (True, False)
    site.lose(first)
    later(monkeypatch, REPORT_EVERY_MS)
    site.until(lambda: len(second.reports) == 2)
    assert second.reports[1].health


def test_a_report_that_is_made_goes_out_whoever_else_is_due(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregator, began_ms = site.aggregator(0), boot_ms()
    monkeypatch.setattr(reporter_module, "boot_ms", lambda: began_ms + REPORT_EVERY_MS / 2)
    two = site.aggregator(1)
    for halves in range(2, 5):
        reports = len(aggregator.reports) + len(two.reports)
        now_ms = began_ms + halves * REPORT_EVERY_MS / 2 + 1
        monkeypatch.setattr(reporter_module, "boot_ms", lambda at=now_ms: at)
        site.until(lambda more=reports: len(aggregator.reports) + len(two.reports) > more)  # type: ignore[misc]
    assert len(two.reports) == 2
    assert [report.health["up_s"] for report in aggregator.reports] == [1.0, 2.0, 3.0]


# Results


def test_a_result_goes_out_at_once_to_one_aggregator_and_ends_with_its_ack(
    site: ReporterRig,
) -> None:
    first, second = site.aggregator(0), site.aggregator(1)
    site.add()
    site.until(lambda: first.tickets)
    assert (first.tickets, second.tickets) == ([0], [])
    first.ack(0)
    site.until(lambda: not len(site.reporter.outbox))
    assert site.reporter.outbox.counts == {"committed": 1}


def times_of_reports(site: ReporterRig, monkeypatch: pytest.MonkeyPatch, each: int) -> list[float]:
    """When results went out, milliseconds after the first; `each` come every 10 ms."""
    aggregator = site.aggregator(0)
    began_ms = boot_ms()
    for passed_ms in range(0, 400, 10):
        monkeypatch.setattr(reporter_module, "boot_ms", lambda now_ms=began_ms + passed_ms: now_ms)
        site.add(each)
        site.tick()
    site.until(lambda: len(aggregator.tickets) >= 35 * each)
    sent_ms = [report.sent_ms for report in aggregator.reports if report.results]
    return [round(at_ms - sent_ms[0], 3) for at_ms in sent_ms]


def test_a_stream_of_results_goes_out_every_20_ms(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert times_of_reports(site, monkeypatch, 1)[:5] == [0, 20, 40, 60, 80]


def test_one_of_hundreds_a_second_goes_out_every_50_ms(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert times_of_reports(site, monkeypatch, 5)[:5] == [0, 50, 100, 150, 200]


def reports_unread(site: ReporterRig, monkeypatch: pytest.MonkeyPatch) -> int:
    """What an aggregator finds that waited for Redis for two seconds, results coming all along."""
    aggregator = site.aggregator(0)
    began_ms, before = boot_ms(), len(aggregator.reports)
    for passed_ms in range(0, 2000, 20):
        monkeypatch.setattr(reporter_module, "boot_ms", lambda now_ms=began_ms + passed_ms: now_ms)
        site.add()
        site.tick()
    later(monkeypatch, 2100.0)
    site.until(lambda: len(set(aggregator.tickets)) == 100)
    return len(aggregator.reports) - before


def test_an_aggregator_that_waits_for_redis_finds_its_socket_not_full(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reports_unread(site, monkeypatch) < REPORT_HWM


def test_at_one_pace_its_socket_would_be_full(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    hooks.reports_go_out_unanswered_every(monkeypatch, 20.0)
    assert reports_unread(site, monkeypatch) > REPORT_HWM


def test_results_made_while_no_aggregator_is_there_are_kept(site: ReporterRig) -> None:
    site.add(300)
    site.tick()
    assert (len(site.reporter.outbox), site.reporter.outbox.in_flight) == (300, 0)
    aggregator = site.aggregator(0)
    site.until(lambda: len(aggregator.tickets) == 300)
    assert max(len(report.results) for report in aggregator.reports) == 256


def test_results_sent_to_an_aggregator_that_is_gone_go_to_the_other_at_once(
    site: ReporterRig,
) -> None:
    first, second = site.aggregator(0), site.aggregator(1)
    site.add(3)
    site.until(lambda: first.tickets == [0, 1, 2])
    site.lose(first)
    site.until(lambda: second.tickets == [0, 1, 2])
    assert site.reporter.outbox.resent == 3


def test_results_without_an_ack_go_to_the_next_aggregator_after_two_seconds(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = site.aggregator(0), site.aggregator(1)
    site.add()
    site.until(lambda: first.tickets)
    site.tick()
    assert second.tickets == []
    later(monkeypatch, 2001)
    site.until(lambda: second.tickets == [0])
    assert first.tickets == [0]


def test_a_silent_aggregator_comes_last(site: ReporterRig, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = site.aggregator(0), site.aggregator(1)
    for passed_ms in range(0, 3_000, 500):
        later(monkeypatch, passed_ms)
        site.tick()
    second.ack()
    site.until(lambda: site.reporter.acks)
    site.add()
    site.until(lambda: second.tickets)
    assert first.tickets == []


def test_an_ack_through_another_aggregator_counts_too(site: ReporterRig) -> None:
    first, second = site.aggregator(0), site.aggregator(1)
    site.add()
    site.until(lambda: first.tickets)
    second.ack(0)
    site.until(lambda: not len(site.reporter.outbox))
    assert site.reporter.outbox.counts == {"committed": 1}


def test_acks_pass_on_what_they_say_of_workers_and_pauses(site: ReporterRig) -> None:
    aggregator = site.aggregator(0)
    aggregator.ack(workers=("tcp://desk:5701",), paused_rooms=("kitchen",))
    site.until(lambda: site.reporter.acks)
    assert site.reporter.acks[0].workers == ("tcp://desk:5701",)
    assert site.reporter.acks[0].paused_rooms == ("kitchen",)


def test_an_ack_after_a_stall_may_name_more_than_is_under_way(site: ReporterRig) -> None:
    aggregator = site.aggregator(0)
    site.add(2)
    site.until(lambda: len(aggregator.tickets) == 2)
    aggregator.ack(*range(5_000), duplicate=tuple(range(5_000)))
    site.until(lambda: not len(site.reporter.outbox))
    assert site.reporter.outbox.counts == {"committed": 2}


def test_a_bad_ack_is_ignored(site: ReporterRig) -> None:
    aggregator = site.aggregator(0)
    for bad in (b"noise", b"RM\x63A\x80", b"RM\x01A\x80"):
        send(aggregator.router, [aggregator.routing, bad])
    aggregator.ack(99)
    (heard,) = site.until(lambda: site.reporter.acks)
    assert heard.committed == (99,)


def test_results_of_a_leaving_worker_say_that_it_leaves(site: ReporterRig) -> None:
    aggregator = site.aggregator(0)
    site.leaving = True
    site.add()
    site.until(lambda: aggregator.tickets)
    assert [report.leaving for report in aggregator.reports if report.results] == [True]


def test_the_loop_looks_again_before_the_next_report_and_never_spins(
    site: ReporterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.reporter.next_look_ms() == REPORT_EVERY_MS / 2
    aggregator = site.aggregator(0)
    site.add()
    site.until(lambda: aggregator.tickets)
    later(monkeypatch, 1900)
    assert 50 < site.reporter.next_look_ms() <= 110
    later(monkeypatch, 2001)
    assert site.reporter.next_look_ms() == 0
    site.tick()
    assert site.reporter.next_look_ms() > 0
