"""What becomes of a camera's pictures is part of its status."""

from roommood.camera_node.deliveries import Refusals, unreached


def test_refused_pictures_are_told_with_their_number_and_why() -> None:
    refusals = Refusals()
    refusals.note(2, 0, "")
    for _ in range(28):
        refusals.note(1, 1, "damaged")
    assert refusals.status == "refused: 28 of 30 pictures: cut off or damaged"


def test_a_refusal_that_is_told_after_its_frame_was_settled_counts_once() -> None:
    refusals = Refusals()
    for _ in range(20):
        refusals.note(1, 0, "")
        refusals.note(0, 1, "damaged")
    assert refusals.status == "refused: 20 of 20 pictures: cut off or damaged"


def test_few_refusals_and_few_pictures_are_no_trouble() -> None:
    refusals = Refusals()
    for _ in range(9):
        refusals.note(1, 1, "stale")
    assert refusals.status == ""
    for _ in range(50):
        refusals.note(1, 0, "")
    assert refusals.status == ""


def test_trouble_is_over_once_pictures_are_taken_again() -> None:
    refusals = Refusals()
    for _ in range(40):
        refusals.note(1, 1, "stale")
    assert refusals.status.endswith("too old when they arrived")
    for _ in range(16):
        refusals.note(1, 0, "")
    assert refusals.status == ""


def test_workers_that_are_away_are_named_with_the_reason() -> None:
    assert unreached({}) == ""
    status = unreached({"tcp://desk:5701": "no route to it", "tcp://b:1": "refused"})
    assert status == "unreached: desk:5701: no route to it; b:1: refused"
