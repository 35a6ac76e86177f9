"""What the health hashes say of cameras and workers, whoever shows it."""

import pytest

from roommood.aggregator.stats.health import camera_health, worker_health, workers_of


def test_counts_of_all_workers_are_added_up() -> None:
    reported = {
        "analysed@w1": "3",
        "analysed@w2": "4",
        "refused-stale@w1": "2",
        "refused-stale@w2": "1",
    }
    camera = camera_health("door", reported, 0.0)
    assert (camera.analysed, camera.refused) == (7, {"stale": 3})
    assert camera.workers == ("w1", "w2")
    assert workers_of(reported) == {"w1", "w2"}


def test_numbers_that_are_none_are_as_not_said() -> None:
    reported = {"rate_hz": "nan", "captured": "", "sent": "inf", "analysed@w": "many"}
    odd = camera_health("x", reported, 1.0)
    assert (odd.rate_hz, odd.captured, odd.sent, odd.analysed) == (None, 0, 0, 0)
    assert worker_health("w", {"threads": "two", "up_s": "-inf"}, 1.0).up_s is None


def test_silence_is_the_cameras_own_and_what_came_after() -> None:
    assert camera_health("door", {"silent_ms": "500"}, 2.0).silent_s == 2.5
    assert worker_health("w", {"silent_ms": "500"}, 2.0).silent_s == 2.0


@pytest.mark.parametrize(
    ("reported", "trouble"),
    [
        ({}, ""),
        ({"picture": "ok", "source": "ok"}, ""),
        ({"picture": "frozen", "source": "ok"}, "frozen"),
        ({"source": "away"}, "away"),
    ],
)
def test_trouble_is_told_in_the_cameras_own_words(reported: dict[str, str], trouble: str) -> None:
    assert camera_health("door", reported, 0.0).trouble == trouble
