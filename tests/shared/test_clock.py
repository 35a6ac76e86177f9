"""Ages across machines whose clocks share neither offset nor rate."""

import pytest

from roommood.shared import clock as clock_module
from roommood.shared.clock import Absence, TransitClock, TransitClocks, boot_ms, wall_ms

HOUR_MS = 3_600_000.0


def test_the_boot_clock_does_not_go_back() -> None:
    times = [boot_ms() for _ in range(1000)]
    assert times == sorted(times)
    assert wall_ms() > 1.6e12


@pytest.mark.parametrize("offset_ms", [0.0, 5.0, -7e9, 7e9])
def test_the_offset_of_two_clocks_does_not_matter(offset_ms: float) -> None:
    clock = TransitClock()
    transits = [
        clock.transit_ms(sent + offset_ms, HOUR_MS + sent + delay)
        for sent, delay in [(0.0, 3.0), (100.0, 3.0), (200.0, 53.0), (300.0, 3.0), (400.0, 4.0)]
    ]
    assert transits == pytest.approx([0, 0, 50, 0, 1], abs=1e-3)


def test_the_first_message_counts_as_the_fastest() -> None:
    assert TransitClock().transit_ms(5.0, 70_000.0) == 0.0


def test_a_faster_message_moves_the_base() -> None:
    clock = TransitClock()
    assert clock.transit_ms(0, 100_050) == 0
    assert clock.transit_ms(10, 100_020) == 0
    assert clock.transit_ms(20, 100_070) == 40


def test_transit_is_never_negative_whatever_comes() -> None:
    clock = TransitClock()
    for n in range(2000):
        assert clock.transit_ms((n * 7919) % 1000 - 500, 1000.0 * n) >= 0


@pytest.mark.parametrize("ppm", [100, -100])
def test_drift_costs_a_few_milliseconds_at_most(ppm: float) -> None:
    clock = TransitClock()
    worst = max(
        clock.transit_ms(second * 1000.0 * (1 - ppm / 1e6), HOUR_MS + second * 1000.0)
        for second in range(3600)
    )
    assert worst <= 12.1


def test_a_delay_that_stays_becomes_the_new_base_within_two_minutes() -> None:
    clock = TransitClock()
    for second in range(60):
        clock.transit_ms(second * 1000.0, HOUR_MS + second * 1000.0)
    late = [
        clock.transit_ms(second * 1000.0, HOUR_MS + second * 1000.0 + 500.0)
        for second in range(60, 200)
    ]
    assert late[0] == 500.0
    assert late[119:] == [0.0] * 21


def test_the_base_of_the_window_before_still_holds_after_a_turn() -> None:
    clock = TransitClock()
    clock.transit_ms(0.0, HOUR_MS)
    assert clock.transit_ms(59_000.0, HOUR_MS + 59_040.0) == 40.0
    assert clock.transit_ms(61_000.0, HOUR_MS + 61_040.0) == 40.0


@pytest.mark.parametrize("silence_ms", [70_000.0, 130_000.0, 600_000.0])
def test_a_message_that_was_held_up_for_a_whole_silence_is_not_fresh(silence_ms: float) -> None:
    clock = TransitClock()
    clock.transit_ms(0.0, HOUR_MS)
    assert clock.transit_ms(1.0, HOUR_MS + silence_ms) == pytest.approx(silence_ms, rel=1e-3)


def test_what_two_clocks_drift_apart_in_a_silence_is_no_transit() -> None:
    clock = TransitClock()
    clock.transit_ms(0.0, HOUR_MS)
    silence_ms = 36e6
    assert clock.transit_ms(silence_ms * (1 - 1e-4), HOUR_MS + silence_ms) == 0.0


def test_a_clock_is_kept_for_a_sender_that_went() -> None:
    clocks = TransitClocks()
    clocks.of("worker").transit_ms(0.0, HOUR_MS)
    assert clocks.of("worker").transit_ms(0.0, HOUR_MS + 9_000.0) == 9_000.0
    assert clocks.of("another").transit_ms(0.0, HOUR_MS + 9_000.0) == 0.0


def test_so_many_clocks_are_kept_and_those_longest_gone_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock_module, "MAX_CLOCKS", 3)
    clocks = TransitClocks()
    kept = [clocks.of(number) for number in range(3)]
    clocks.keep(0, kept[0])
    clocks.of(3)
    assert len(clocks) == 3
    assert clocks.of(0) is kept[0]
    assert clocks.of(1) is not kept[1]


def test_what_a_turn_took_beyond_a_second_is_absence() -> None:
    absence = Absence()
    absences = [absence.ended_ms(now_ms) for now_ms in (5e6, 5e6 + 900, 5e6 + 1_900, 5e6 + 11_900)]
    assert absences == [0.0, 0.0, 0.0, 9_000.0]
    assert absence.ended_ms(5e6 + 12_000) == 0.0


def test_a_sender_whose_clock_leaps_ahead_is_taken_as_fast_at_once() -> None:
    clock = TransitClock()
    clock.transit_ms(0.0, HOUR_MS)
    assert clock.transit_ms(9e6, HOUR_MS + 1000.0) == 0.0


def test_a_sender_whose_clock_falls_back_is_trusted_again_within_two_minutes() -> None:
    clock = TransitClock()
    clock.transit_ms(9e6, HOUR_MS)
    transits = [clock.transit_ms(n * 1000.0, HOUR_MS + n * 1000.0) for n in range(1, 122)]
    assert transits[0] == pytest.approx(9e6)
    assert transits[-1] == 0.0


def test_two_boots_of_one_sender_have_a_clock_each() -> None:
    before, after = TransitClock(), TransitClock()
    before.transit_ms(9e6, HOUR_MS)
    assert after.transit_ms(10.0, HOUR_MS + 5.0) == 0.0
