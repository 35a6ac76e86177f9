"""When the next picture is due."""

import threading

import pytest

from roommood.camera_node.sources.pacing import Pacer, Thinner
from roommood.camera_node.sources.picture import Interrupted


def test_a_pacer_keeps_its_rate_and_does_not_hurry_after_a_late_tick() -> None:
    now = [0.0]
    pacer = Pacer(1000.0, clock=lambda: now[0])
    due = []
    for at_ms in (0.0, 1.0, 2.5, 3.0, 50.0, 51.0):
        now[0] = at_ms
        pacer.wait()
        due.append(pacer._due_ms)
    assert due == [1.0, 2.0, 3.0, 4.0, 51.0, 52.0]


def test_an_interrupted_wait_ends_at_once() -> None:
    pacer = Pacer(0.001)
    pacer.wait()
    threading.Timer(0.01, pacer.interrupt).start()
    with pytest.raises(Interrupted):
        pacer.wait()


@pytest.mark.parametrize(("asked_hz", "given"), [(None, 300), (100.0, 300), (30.0, 300)])
def test_a_thinner_leaves_slower_sources_alone(asked_hz: float | None, given: int) -> None:
    thinner = Thinner(asked_hz)
    times = [n * 1000.0 / 30.0 + (7 if n % 2 else 0) for n in range(300)]
    assert sum(map(thinner.is_due, times)) == given


@pytest.mark.parametrize(("asked_hz", "given"), [(20.0, 200), (10.0, 100), (1.0, 10)])
def test_a_thinner_lets_through_the_rate_asked_for(asked_hz: float, given: int) -> None:
    thinner = Thinner(asked_hz)
    assert abs(sum(thinner.is_due(n * 1000.0 / 30.0) for n in range(300)) - given) <= 1
