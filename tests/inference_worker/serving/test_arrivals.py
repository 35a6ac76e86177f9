"""Frames that are expected soon, so that no other is asked for that would wait for them."""

from dataclasses import replace

import pytest

from roommood.inference_worker.serving.arrivals import Arrivals
from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.ledger import Account
from roommood.shared.clock import TransitClock
from tests.shared.made import hello

NOW = 1_000_000.0
ANALYSIS_MS = 200.0


def camera(name: str, rate_hz: float, captured_ms: float | None = None) -> CameraSession:
    account, greeting = Account(0, 0, 0), replace(hello(camera=name), rate_hz=rate_hz)
    session = CameraSession((name, "b", 0), b"id", greeting, account, NOW, TransitClock())
    session.captured_ms = captured_ms
    return session


FAST = camera("fast", 30.0)


def in_the_way(slow: CameraSession, after_ms: float, analysis_ms: float = ANALYSIS_MS) -> int:
    """Of a slow camera that was asked at NOW, for a fast one that is asked later."""
    arrivals = Arrivals()
    arrivals.asked(slow, NOW)
    return arrivals.in_the_way(FAST, NOW + after_ms, analysis_ms)


@pytest.mark.parametrize(
    ("after_ms", "frames"), [(0.0, 0), (200.0, 0), (270.0, 1), (300.0, 1), (319.0, 1), (321.0, 0)]
)
def test_a_slow_cameras_frame_is_in_the_way_shortly_before_it_is_captured(
    after_ms: float, frames: int
) -> None:
    assert in_the_way(camera("slow", 1.0, NOW - 700.0), after_ms) == frames
    assert in_the_way(camera("slow", 1.0, NOW - 5_700.0), after_ms) == frames


def test_a_frame_that_came_is_in_nobodys_way() -> None:
    arrivals, slow = Arrivals(), camera("slow", 1.0, NOW - 990.0)
    arrivals.asked(slow, NOW)
    assert arrivals.in_the_way(FAST, NOW, ANALYSIS_MS) == 1
    arrivals.came(slow)
    assert arrivals.in_the_way(FAST, NOW, ANALYSIS_MS) == 0


def test_a_fast_cameras_frame_is_in_the_way_until_it_should_have_come() -> None:
    assert in_the_way(camera("other", 30.0), 10.0) == 1
    assert in_the_way(camera("other", 30.0), 60.0) == 0


def test_of_a_slow_camera_that_has_sent_nothing_yet_nothing_is_expected() -> None:
    assert in_the_way(camera("slow", 1.0), 10.0) == 0


def test_a_short_analysis_is_in_nobodys_way() -> None:
    assert in_the_way(camera("other", 30.0), 10.0, 50.0) == 0


def test_for_a_camera_that_captures_long_after_it_a_frame_is_not_in_the_way() -> None:
    arrivals, later = Arrivals(), camera("later", 1.0, NOW - 500.0)
    arrivals.asked(FAST, NOW)
    assert arrivals.in_the_way(later, NOW, ANALYSIS_MS) == 0


@pytest.mark.parametrize("analysis_ms", [10.0, ANALYSIS_MS])
@pytest.mark.parametrize("captured_ms", [None, NOW])
@pytest.mark.parametrize("rate_hz", [1.0, 30.0])
def test_cameras_that_never_send_what_they_were_asked_for_are_forgotten(
    analysis_ms: float, captured_ms: float | None, rate_hz: float
) -> None:
    arrivals = Arrivals()
    for number in range(2_000):
        now_ms, invented = NOW + 100.0 * number, camera(f"invented-{number}", rate_hz, captured_ms)
        arrivals.in_the_way(invented, now_ms, analysis_ms)
        arrivals.asked(invented, now_ms)
    assert len(arrivals) <= 20
