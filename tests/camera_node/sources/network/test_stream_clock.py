"""A stream's own clock dates its pictures, and tells when we fall behind."""

import pytest

from roommood.camera_node.sources.network.stream_clock import StreamClock


def test_pictures_are_dated_by_the_stream_not_by_when_they_come() -> None:
    clock = StreamClock()
    dates = [clock.captured_ms(at, 5000 + at + late) for at, late in [(0, 0), (40, 3), (80, 31)]]
    assert dates == pytest.approx([5000, 5040, 5080], abs=0.2)


def test_decoding_that_is_too_slow_is_too_slow_once_it_is_a_second_behind() -> None:
    clock, verdicts = StreamClock(), []
    for number in range(200):
        at_ms = number * 40.0
        clock.captured_ms(at_ms, at_ms * 1.5)
        verdicts.append(clock.is_too_slow)
    first = verdicts.index(True)
    assert 1000 < clock.behind_ms < 4000
    assert 50 < first < 120
    assert all(verdicts[first:])


@pytest.mark.parametrize("slower", [1.0001, 1.0005])
def test_two_clocks_that_drift_are_never_too_slow(slower: float) -> None:
    clock = StreamClock()
    for number in range(100_000):
        clock.captured_ms(number * 40.0, number * 40.0 * slower)
        assert clock.behind_ms < 50


def test_one_percent_too_slow_is_noticed_however_long_it_takes() -> None:
    clock = StreamClock()
    for number in range(10_000):
        clock.captured_ms(number * 40.0, number * 40.0 * 1.01)
    assert clock.is_too_slow


def test_what_a_radio_held_up_is_caught_up_with() -> None:
    clock = StreamClock()
    now_ms = 0.0
    for number in range(500):
        at_ms = number * 40.0
        # For three seconds nothing comes, then 5 times as much as usual.
        now_ms = max(at_ms, now_ms + 8.0, 7000.0 if 4000 < at_ms < 7000 else 0.0)
        captured_ms = clock.captured_ms(at_ms, now_ms)
        assert captured_ms == pytest.approx(at_ms, abs=30)
        assert not clock.is_too_slow
    assert clock.behind_ms < 20


def test_a_clock_that_steps_back_or_stands_tells_nothing() -> None:
    clock = StreamClock()
    for number in range(100):
        assert clock.captured_ms(0.0, number * 40.0) == number * 40.0
    clock.captured_ms(90_000.0, 4000.0)
    assert clock.captured_ms(10.0, 4040.0) == 4040.0
    assert not clock.is_too_slow


def test_what_waited_while_the_stream_was_opened_is_not_settled() -> None:
    clock, settled = StreamClock(), []
    for at_ms, now_ms in [(0, 1500), (40, 1502), (1400, 1510), (1440, 1530), (1480, 1570)]:
        clock.captured_ms(at_ms, now_ms)
        settled.append(clock.is_settled)
    assert settled == [False, False, False, False, True]
