"""A user's own crops and how they are parted."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.collecting import collected_names, write_pictures

pytest.importorskip("cv2")

from roommood.shared.errors import ConfigError
from roommood.training.collect.collection import DESCRIPTION
from roommood.training.expression.own_pictures import centre, cut_points, read_face, read_own, wide

FIRST, SECOND, THIRD = (f"2026030{day}T050607-0a1b" for day in (1, 2, 3))


def write_sessions(folder: Path, expression: str, counts: list[int], seed: int) -> None:
    names = [
        name
        for session, count in zip((FIRST, SECOND, THIRD), counts, strict=False)
        for name in collected_names(session, count)
    ]
    write_pictures(folder / expression, names, seed, side=72)
    (folder / DESCRIPTION).write_text('{"margin": 0.25}')


def test_parts_follow_sessions_where_these_lie_near_enough(tmp_path: Path) -> None:
    write_sessions(tmp_path, "anger", [22, 5, 4], 0)
    write_sessions(tmp_path, "neutral", [21, 4, 5], 1)
    own = read_own(tmp_path, 20)
    assert own.by_session
    assert (len(own.learn), len(own.check), len(own.judge)) == (43, 9, 9)


def test_one_session_is_parted_by_time_and_says_so(tmp_path: Path) -> None:
    write_sessions(tmp_path, "anger", [20], 0)
    write_sessions(tmp_path, "neutral", [20], 1)
    own = read_own(tmp_path, 20)
    assert not own.by_session
    assert (len(own.learn), len(own.check), len(own.judge)) == (28, 6, 6)


def test_pictures_from_elsewhere_are_parted_the_same_way_each_time(tmp_path: Path) -> None:
    for seed, expression in enumerate(("happy", "sad")):
        write_pictures(tmp_path / expression, [f"{n}.png" for n in range(20)], seed)
    first, again = read_own(tmp_path, 20), read_own(tmp_path, 20)
    assert (first.judge.pictures == again.judge.pictures).all()
    learned = {picture.tobytes() for picture in first.learn.pictures}
    assert not learned & {picture.tobytes() for picture in first.judge.pictures}
    assert set(first.judge.labels.tolist()) == {1, 3}


@pytest.mark.parametrize("count", [3, 4, 5, 20])
def test_no_part_is_empty(count: int) -> None:
    first, second = cut_points([f"{n}.png" for n in range(count)])
    assert 0 < first < second < count


def test_too_few_pictures_of_a_class_are_an_error_that_counts_them(tmp_path: Path) -> None:
    write_sessions(tmp_path, "anger", [20], 0)
    write_sessions(tmp_path, "fear", [19], 1)
    with pytest.raises(ConfigError, match=r"too few pictures of fear: 20 .* anger 20, fear 19"):
        read_own(tmp_path, 20)


def test_copies_of_a_picture_do_not_count(tmp_path: Path) -> None:
    write_sessions(tmp_path, "anger", [20], 0)
    write_sessions(tmp_path, "fear", [19], 1)
    file = tmp_path / "fear" / collected_names(FIRST, 1)[0]
    (tmp_path / "fear" / "copy.jpg").write_bytes(file.read_bytes())
    with pytest.raises(ConfigError, match="fear 19"):
        read_own(tmp_path, 20)


def test_a_single_expression_teaches_nothing(tmp_path: Path) -> None:
    write_sessions(tmp_path, "anger", [30], 0)
    with pytest.raises(ConfigError, match="two expressions"):
        read_own(tmp_path, 20)


def test_a_crop_without_margin_is_the_face_and_its_edge_repeated(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png"])
    face = read_face(tmp_path / "a.png", 0.0)
    assert face.shape == (72, 72)
    assert (face[:12, 12:60] == face[12, 12:60]).all()


def test_widening_and_taking_the_centre_are_inverse() -> None:
    face = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    assert (centre(wide(face)) == face).all()
