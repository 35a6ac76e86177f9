"""What becomes of a camera's pictures is part of its status."""

from roommood.camera_node.deliveries import Refusals, unreached


def test_refused_pictures_are_told_with_their_number_and_why() -> None:
    one = Refusals()
    one.note(2, 0, "")
    for _ in range(28):
        one.note(1, 1, "damaged")
    assert one.status == "refused: 28 of 30 pictures: cut off or damaged"


def test_a_refusal_that_is_told_after_its_frame_was_settled_counts_once() -> None:
    one = Refusals()
    for _ in range(20):
        one.note(1, 0, "")
        one.note(0, 1, "damaged")
    assert one.status == "refused: 20 of 20 pictures: cut off or damaged"


def test_few_refusals_and_few_pictures_are_no_trouble() -> None:
    one = Refusals()
    for _ in range(9):
        one.note(1, 1, "stale")
    assert one.status == ""
    for _ in range(50):
        one.note(1, 0, "")
    assert one.status == ""


def test_trouble_is_over_once_pictures_are_taken_again() -> None:
    one = Refusals()
    for _ in range(40):
        one.note(1, 1, "stale")
    assert one.status.endswith("too old when they arrived")
    for _ in range(16):
        one.note(1, 0, "")
    assert one.status == ""


def test_workers_that_are_away_are_named_with_the_reason() -> None:
    assert unreached({}) == ""
    told = unreached({"tcp://desk:5701": "no route to it", "tcp://b:1": "refused"})
    assert told == "unreached: desk:5701: no route to it; b:1: refused"
