"""Which pictures a camera holds back where a worker found nobody. Time is simulated."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from roommood.camera_node.holding import Holding, glance_at
from roommood.camera_node.masks import Mask
from roommood.camera_node.sources.picture import Picture
from roommood.shared.errors import PictureDamaged
from roommood.shared.glance import unchanged
from roommood.shared.opencv import Pixels
from tests.inference_worker.rooms import encoded, person_in, room
from tests.shared.made import credit

START = 1_000_000.0
HOLD_MS, LOOK_MS, STEP_MS = 2_000.0, 500.0, 1000 / 30
WALL = np.full((60, 80), 100, np.uint8)
MAY_HOLD = credit(empty_seq=7, hold_ms=HOLD_MS, look_ms=LOOK_MS)


def of(picture: Pixels) -> Callable[[], Pixels]:
    return lambda: picture


def allowed(glance: Pixels | None = WALL) -> Holding:
    """Frame 7, captured at START, showed nobody."""
    holding = Holding()
    holding.sent(7, START, 0.0, glance)
    holding.allow(MAY_HOLD)
    return holding


def looks(holding: Holding, after_ms: float, glance: Pixels = WALL, age_ms: float = 0.0) -> bool:
    return holding.holds(START + after_ms, age_ms, of(glance), STEP_MS)


def test_a_picture_that_looks_the_same_is_held() -> None:
    holding = allowed()
    assert looks(holding, 500)
    assert holding.held_ms == START + 500


def test_a_picture_that_shows_something_new_is_not() -> None:
    other = WALL.copy()
    other[20:40, 10:20] = 30
    assert not looks(allowed(), 500, other)


def test_nothing_is_held_before_a_worker_has_found_nobody_in_the_last_frame() -> None:
    holding = Holding()
    assert not looks(holding, 500)
    holding.sent(7, START, 0.0, WALL)
    assert not looks(holding, 500)
    holding.allow(replace(MAY_HOLD, empty_seq=6))
    assert not looks(holding, 500)
    holding.allow(MAY_HOLD)
    assert looks(holding, 500)


def test_a_frame_of_which_no_glance_was_kept_lets_none_be_held() -> None:
    assert not looks(allowed(None), 500)


def test_after_the_next_frame_all_begins_anew() -> None:
    holding = allowed()
    assert looks(holding, 500)
    holding.sent(9, START + 1_000, 0.0, WALL)
    assert holding.held_ms is None
    assert not looks(holding, 1_500)


def test_it_looks_each_half_second_and_once_more_before_the_hold_ends() -> None:
    holding = allowed()
    assert holding.due_ms() == START + LOOK_MS
    assert looks(holding, 510)
    assert holding.due_ms() == START + 1_010
    assert looks(holding, 1_510)
    assert holding.due_ms() == pytest.approx(START + HOLD_MS - 2 * STEP_MS)
    assert not looks(holding, 1_930)


def test_a_source_whose_pictures_come_late_is_looked_at_as_often() -> None:
    holding = allowed()
    assert looks(holding, 510, age_ms=100.0)
    assert holding.due_ms() == START + 1_010 + 100.0


def test_a_hello_answered_meanwhile_changes_nothing() -> None:
    holding = allowed()
    assert looks(holding, 510)
    holding.allow(MAY_HOLD)
    assert holding.due_ms() == START + 1_010
    assert looks(holding, 1_010)


def sent_at(hold_ms: float, rate_hz: float, late_ms: float, for_s: float = 60.0) -> list[float]:
    """When a camera to which every picture looks the same sends one, with nobody in any."""
    step_ms, holding, frames = 1000.0 / rate_hz, Holding(), [START]
    holding.sent(0, START, late_ms, WALL)
    may_hold = replace(MAY_HOLD, empty_seq=0, hold_ms=hold_ms)
    holding.allow(may_hold)
    for picture in range(1, round(for_s * rate_hz)):
        captured_ms = START + picture * step_ms
        if captured_ms + late_ms < holding.due_ms():
            continue
        if not holding.holds(captured_ms, late_ms, of(WALL), step_ms):
            frames.append(captured_ms)
            holding.sent(picture, captured_ms, late_ms, WALL)
            holding.allow(replace(may_hold, empty_seq=picture))
    return frames


@pytest.mark.parametrize("late_ms", [0.0, 120.0])
@pytest.mark.parametrize("rate_hz", [1.0, 2.0, 5.0, 10.0, 15.0, 25.0, 30.0, 60.0])
def test_whoever_stays_for_two_seconds_is_looked_at_though_no_glance_shows_them(
    rate_hz: float, late_ms: float
) -> None:
    frames = sent_at(HOLD_MS, rate_hz, late_ms)
    assert max(b - a for a, b in pairwise(frames)) <= HOLD_MS


def test_the_control_with_a_longer_hold_misses_them() -> None:
    frames = sent_at(10_000.0, 30.0, 0.0)
    assert max(b - a for a, b in pairwise(frames)) > HOLD_MS


def test_of_an_empty_room_one_picture_goes_out_in_two_seconds() -> None:
    assert len(sent_at(HOLD_MS, 30.0, 0.0)) <= 60 / 1.9 + 1


# Glances


def test_pixels_luma_and_a_jpeg_give_the_same_glance() -> None:
    pixels = room()
    of_jpeg = glance_at(Picture.of_jpeg(encoded(pixels), START), ())
    of_pixels = glance_at(Picture.of_pixels(pixels, START), ())
    assert of_jpeg.shape == of_pixels.shape == (60, 80)
    assert unchanged(of_jpeg, of_pixels)


def test_what_a_mask_covers_is_no_change() -> None:
    left = Mask(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
    before, now = Picture.of_pixels(room(), START), person_in(room(), 100, 240)
    moved = Picture.of_pixels(now, START)
    assert not unchanged(glance_at(before, ()), glance_at(moved, ()))
    assert unchanged(glance_at(before, (left,)), glance_at(moved, (left,)))


def test_a_damaged_jpeg_has_no_glance() -> None:
    with pytest.raises(PictureDamaged):
        glance_at(Picture(START, 640, 480, jpeg=b"\xff\xd8\xff no picture"), ())
