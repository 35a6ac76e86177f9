"""The number of each frame, and the time that it stands for."""

import numpy as np
import pytest

from roommood.camera_node.frames import Frames, Outgoing
from roommood.shared.protocol.limits import MAX_INTERVAL_US
from roommood.shared.protocol.messages import Frame
from tests.shared.made import credit, hello

START = 1_000_000.0
NOMINAL_US = 40_000
WALL = np.full((60, 80), 100, np.uint8)


def send(frames: Frames, captured_ms: float) -> Frame:
    outgoing = Outgoing(b"jpeg", 640, 480, captured_ms, WALL)
    frame = frames.frame_of(outgoing, captured_ms)
    frames.sent(frame, outgoing)
    return frame


@pytest.fixture
def frames() -> Frames:
    return Frames(hello(), NOMINAL_US)


def hold(frames: Frames, seq: int, *captured_ms: float) -> None:
    """These pictures look as frame `seq` did, which showed nobody."""
    frames.holding.allow(credit(empty_seq=seq, hold_ms=2_000.0, look_ms=500.0))
    for at_ms in captured_ms:
        assert frames.holding.holds(at_ms, 0.0, lambda: WALL, 30.0)


def test_each_frame_stands_for_the_time_since_the_one_before(frames: Frames) -> None:
    first, second = send(frames, START), send(frames, START + 200)
    assert (first.seq, first.interval_us, first.held_us) == (0, NOMINAL_US, 0)
    assert (second.seq, second.interval_us, second.held_us) == (1, 200_000, 0)


def test_pictures_that_were_held_have_one_number_and_the_time_until_the_newest(
    frames: Frames,
) -> None:
    send(frames, START)
    hold(frames, 0, START + 500, START + 1_000)
    after = send(frames, START + 1_200)
    assert (after.seq, after.held_us, after.interval_us) == (2, 1_000_000, 200_000)
    following = send(frames, START + 1_400)
    assert (following.seq, following.held_us, following.interval_us) == (3, 0, 200_000)


def test_a_frame_that_was_not_sent_counts_for_nothing(frames: Frames) -> None:
    send(frames, START)
    hold(frames, 0, START + 500)
    lost = frames.frame_of(Outgoing(b"jpeg", 640, 480, START + 700), START + 700)
    sent = send(frames, START + 800)
    assert (lost.seq, sent.seq) == (2, 2)
    assert (sent.held_us, sent.interval_us) == (500_000, 300_000)


def test_no_frame_stands_for_a_cameras_sleep(frames: Frames) -> None:
    send(frames, START)
    assert send(frames, START + 3_600_000).interval_us == MAX_INTERVAL_US
