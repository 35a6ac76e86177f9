"""Ages across machines whose clocks share neither offset nor rate."""

import pytest

from shared.clock import TransitClock, boot_ms, wall_ms

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


def test_after_a_long_silence_nothing_of_old_holds() -> None:
    clock = TransitClock()
    clock.transit_ms(0.0, HOUR_MS)
    assert clock.transit_ms(500_000.0, HOUR_MS + 500_900.0) == 0.0


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
