"""Quality falls before size where the link is slow; both come back, without swinging."""

import itertools

import pytest

from roommood.camera_node.adaptation import (
    FAST_MS,
    FEWEST,
    PATIENCE,
    PATIENCE_MS,
    SLOW_MS,
    STEPS,
    LinkAdaptation,
    Step,
)


def observe(adaptation: LinkAdaptation, transit_ms: float, times: int) -> list[Step]:
    for _ in range(times):
        adaptation.observe(transit_ms, 0.0)
    return [adaptation.step]


def test_a_fresh_link_gets_full_quality_and_size() -> None:
    assert LinkAdaptation().step == Step(1.0, 1.0)


def test_each_slow_frame_goes_one_step_down_to_the_last() -> None:
    adaptation = LinkAdaptation()
    changed = [adaptation.observe(SLOW_MS + 1, 0.0) for _ in range(len(STEPS) + 3)]
    assert changed == [True] * (len(STEPS) - 1) + [False] * 4
    assert adaptation.step == STEPS[-1]


def test_quality_falls_before_size() -> None:
    qualities = [step.quality for step in STEPS]
    scales = [step.scale for step in STEPS]
    assert qualities == sorted(qualities, reverse=True)
    assert scales == sorted(scales, reverse=True)
    assert all(step.quality == min(qualities) for step in STEPS if step.scale < 1)


@pytest.mark.parametrize("transit_ms", [SLOW_MS, FAST_MS, 175.0])
def test_a_frame_neither_slow_nor_fast_changes_nothing(transit_ms: float) -> None:
    adaptation = LinkAdaptation()
    adaptation.observe(SLOW_MS + 1, 0.0)
    assert observe(adaptation, transit_ms, 1000) == [STEPS[1]]


def test_only_many_fast_frames_in_a_row_go_one_step_up() -> None:
    adaptation = LinkAdaptation()
    observe(adaptation, SLOW_MS + 1, 2)
    assert observe(adaptation, FAST_MS - 1, PATIENCE - 1) == [STEPS[2]]
    assert adaptation.observe(FAST_MS - 1, 0.0)
    assert adaptation.step == STEPS[1]


@pytest.mark.parametrize("between", [FAST_MS, SLOW_MS])
def test_a_slower_frame_in_between_begins_the_count_anew(between: float) -> None:
    adaptation = LinkAdaptation()
    adaptation.observe(SLOW_MS + 1, 0.0)
    for _ in range(10):
        observe(adaptation, FAST_MS - 1, PATIENCE - 1)
        adaptation.observe(between, 0.0)
    assert adaptation.step == STEPS[1]


def test_both_come_back_entirely_and_no_further() -> None:
    adaptation = LinkAdaptation()
    observe(adaptation, SLOW_MS + 1, 10)
    assert observe(adaptation, 1.0, PATIENCE * (len(STEPS) - 1)) == [STEPS[0]]
    assert not any(adaptation.observe(1.0, 0.0) for _ in range(3 * PATIENCE))


def fast_frames_until_a_step_up(every_ms: float) -> int:
    adaptation = LinkAdaptation()
    adaptation.observe(SLOW_MS + 1, 0.0)
    return next(n for n in itertools.count(1) if adaptation.observe(1.0, n * every_ms))


@pytest.mark.parametrize(
    ("every_ms", "frames"), [(66.0, PATIENCE), (200.0, 11), (500.0, FEWEST), (2_000.0, FEWEST)]
)
def test_a_camera_that_is_seldom_asked_comes_back_after_two_seconds_or_five_frames(
    every_ms: float, frames: int
) -> None:
    assert fast_frames_until_a_step_up(every_ms) == frames
    assert (frames - 1) * every_ms >= PATIENCE_MS or frames == PATIENCE


def test_the_time_counts_from_the_first_fast_frame_in_a_row() -> None:
    adaptation = LinkAdaptation()
    adaptation.observe(SLOW_MS + 1, 0.0)
    for number in range(4):
        adaptation.observe(1.0, number * 500.0)
    adaptation.observe(FAST_MS, 2_000.0)
    changed = [adaptation.observe(1.0, 2_500.0 + number * 500.0) for number in range(FEWEST)]
    assert changed == [False] * (FEWEST - 1) + [True]
