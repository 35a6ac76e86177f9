"""What is wrong on a site, told with what to do."""

import pytest

from roommood.aggregator.stats.health import CameraHealth, WorkerHealth
from roommood.aggregator.stats.problems import problems

WORKER = WorkerHealth(worker="w1", silent_s=0.5, address="tcp://desk:5701")


def camera(name: str = "k-1", silent_s: float = 0.5, **more: str) -> CameraHealth:
    return CameraHealth(camera=name, silent_s=silent_s, room="kitchen", **more)  # type: ignore[arg-type]


def test_a_site_that_is_well_has_none() -> None:
    assert problems([camera(picture="ok", source="ok")], [WORKER], []) == []


def test_a_silent_camera_is_named_with_what_to_do() -> None:
    (problem,) = problems([camera(silent_s=30.0)], [WORKER], [])

    assert (problem.of, problem.room) == ("k-1", "kitchen")
    assert problem.what.startswith("silent")
    assert "roommood doctor" in problem.todo


@pytest.mark.parametrize("source", ["frozen: the same picture for 20 s", "reconnecting: no device"])
def test_a_camera_in_trouble_says_so_in_its_own_words(source: str) -> None:
    (problem,) = problems([camera(source=source)], [WORKER], [])

    assert problem.what == source
    assert problem.todo


@pytest.mark.parametrize("source", ["paused", "quiet", "starting", "ended"])
def test_what_is_closed_on_purpose_is_no_problem(source: str) -> None:
    assert problems([camera(source=source)], [WORKER], []) == []


@pytest.mark.parametrize("source", ["refused: 28 of 30 pictures: stale", "unreached: desk:5701: x"])
def test_pictures_that_live_and_do_not_arrive_are_a_problem(source: str) -> None:
    (problem,) = problems([camera(picture="ok", source=source)], [WORKER], [])

    assert problem.what == source
    assert problem.todo


def test_an_aggregator_that_a_worker_does_not_reach_is_named() -> None:
    half = WorkerHealth(worker="w2", silent_s=0.1, address="tcp://b:5701", unreached="c:5700: off")
    (problem,) = problems([], [WORKER, half], [])

    assert (problem.of, problem.what) == ("b:5701", "aggregator not reached: c:5700: off")
    assert "doctor --aggregator" in problem.todo


def test_a_paused_rooms_silent_camera_is_no_problem() -> None:
    assert problems([camera(silent_s=30.0)], [WORKER], ["kitchen"]) == []
    assert problems([camera(silent_s=30.0)], [WORKER], ["hall"]) != []


def test_without_a_single_worker_that_is_heard_it_is_said_once() -> None:
    gone = [
        WorkerHealth(worker=name, silent_s=60.0, address=f"tcp://desk:{name}")
        for name in ("1", "2")
    ]

    assert [problem.of for problem in problems([], gone, [])] == ["workers"]


def test_a_worker_whose_place_another_has_taken_is_none() -> None:
    gone = WorkerHealth(worker="w0", silent_s=60.0, address="tcp://desk:5701")
    elsewhere = WorkerHealth(worker="w2", silent_s=60.0, address="tcp://other:5701")

    assert [problem.of for problem in problems([], [WORKER, gone, elsewhere], [])] == ["other:5701"]
