"""Training crops: faces keep their labels while they are moved, turned, cut and pasted."""

from dataclasses import replace

import numpy as np
import pytest

from roommood.training.face import render as face_render
from roommood.training.face.cover import cover
from roommood.training.face.data import Faces, Picture, clip
from roommood.training.face.light import grey, light_from_behind, spoil
from roommood.training.face.mine import hardness, traps
from roommood.training.face.paste import CROP, Canvas, cut, paste_face, paste_shape
from roommood.training.face.render import MAX_FACES, Stock, pack, render, turned, weigh
from roommood.training.face.teacher import Detector
from roommood.training.face.warp import Photo, affine, move_faces, nod_head, turn_head, warp_onto


def photo(width: int = 90, height: int = 110) -> Photo:
    picture = np.random.default_rng(3).integers(0, 255, (height, width), dtype=np.uint8)
    points = np.array([[[35, 45], [55, 45], [45, 55], [37, 68], [53, 68]]], np.float32)
    box = np.array([[25, 30, 65, 80]], np.float32)
    return Photo(picture, Faces(box, points, np.array([0.9], np.float32)))


def stock() -> Stock:
    scenes, empties = (photo(300, 200),), (Photo(photo(320, 240).picture, Faces.none()),)
    return Stock(scenes, weigh(scenes), ((photo(),),), (weigh((photo(),)),), (1.0,), empties)


def test_a_box_turned_by_a_quarter_swaps_its_sides() -> None:
    quarter = np.array([[0, -1, 0], [1, 0, 0]], np.float32)
    left, top, right, bottom = move_faces(photo().faces, quarter).boxes[0]
    assert (right - left, bottom - top) == pytest.approx((50, 40))


def test_mirroring_by_a_matrix_renames_the_eyes() -> None:
    mirrored = np.array([[-1, 0, 90], [0, 1, 0]], np.float32)
    assert move_faces(photo().faces, mirrored).landmarks[0, 0].tolist() == [35, 45]


def test_a_picture_and_its_labels_move_together() -> None:
    dot = Photo(np.zeros((64, 64), np.uint8), Faces.none())
    dot.picture[20:24, 30:34] = 255
    matrix = affine(np.random.default_rng(0), np.array([32, 22]), np.array([100, 90]), 2.0, 30)
    drawn = warp_onto(np.zeros((CROP, CROP), np.uint8), dot, matrix)
    rows, columns = np.nonzero(drawn > 60)
    assert columns.mean() == pytest.approx(100, abs=1.5)
    assert rows.mean() == pytest.approx(90, abs=1.5)


@pytest.mark.parametrize("yaw", [-0.8, 0.8])
def test_turning_a_head_moves_the_nose_most_and_narrows_the_face(yaw: float) -> None:
    before, after = photo().faces, turn_head(photo(), yaw).faces
    moved = (after.landmarks - before.landmarks)[0, :, 0] * np.sign(yaw)
    assert moved[2] == max(moved)
    assert turned(after)[0]
    assert not turned(before)[0]


def test_nodding_moves_up_and_down_alone() -> None:
    before, after = photo().faces, nod_head(photo(), 0.5).faces
    np.testing.assert_allclose(after.landmarks[..., 0], before.landmarks[..., 0])
    assert (after.landmarks[0, 2, 1]) > before.landmarks[0, 2, 1]


@pytest.mark.parametrize(
    ("left", "expected"), [(-10.0, 0.9), (-25.0, 0.0), (-36.0, None)], ids=["cut", "half", "gone"]
)
def test_a_face_at_the_edge_is_learnt_ignored_or_gone(left: float, expected: float | None) -> None:
    box = np.array([[left, 50, left + 40, 90]], np.float32)
    faces = cut(Faces(box, photo().faces.landmarks, np.array([0.9], np.float32)))
    assert faces.scores.tolist() == pytest.approx([] if expected is None else [expected])
    assert (faces.boxes >= 0).all()


def test_crops_are_reproducible_and_their_boxes_lie_inside() -> None:
    first, second = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(12):
        crop, again = render(stock(), first), render(stock(), second)
        np.testing.assert_array_equal(crop.picture, again.picture)
        assert crop.picture.shape == (CROP, CROP)
        used = crop.labels[crop.labels[:, 2] > crop.labels[:, 0]]
        assert ((used[:, :4] >= 0) & (used[:, :4] <= CROP)).all()
        assert not np.isnan(crop.labels).any()


def test_packing_keeps_the_largest_when_there_are_too_many() -> None:
    count = MAX_FACES + 5
    boxes = np.array([[0, 0, 10 + i, 10] for i in range(count)], np.float32)
    unknown = np.full((count, 5, 2), np.nan, np.float32)
    rows = pack(Faces(boxes, unknown, np.ones(count, np.float32)))
    assert rows[:, 2].min() == 10 + 5
    assert rows[:, 15].sum() == 0


def test_light_and_lens_keep_the_shape() -> None:
    rng = np.random.default_rng(2)
    colour = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
    for _ in range(20):
        assert spoil(grey(colour, rng), rng).shape == (40, 60)


def test_a_pasted_face_never_lies_on_another() -> None:
    rng = np.random.default_rng(4)
    canvas = Canvas(np.zeros((CROP, CROP), np.uint8), Faces.none())
    for _ in range(15):
        canvas = paste_face(canvas, photo(), rng)
    low = np.maximum(canvas.faces.boxes[:, None, :2], canvas.faces.boxes[None, :, :2])
    high = np.minimum(canvas.faces.boxes[:, None, 2:], canvas.faces.boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    own = np.diagonal(shared)
    assert len(own) > 3
    assert (shared - np.diag(own) <= 0.2 * np.maximum(own[:, None], own[None])).all()


def test_shapes_bring_no_labels() -> None:
    canvas = Canvas(np.zeros((CROP, CROP), np.uint8), Faces.none())
    pasted = paste_shape(canvas, np.random.default_rng(0))
    assert len(pasted.faces) == 0
    assert pasted.picture.any()


def test_boxes_are_cut_off_at_the_pictures_edge() -> None:
    wide = Faces(
        np.array([[-5, 2, 99, 8]], np.float32), photo().faces.landmarks, photo().faces.scores
    )
    assert clip(wide, np.zeros((6, 40), np.uint8)).boxes.tolist() == [[0, 2, 40, 6]]


class _SeesTwo(Detector):
    """Reports a box on the face and one away from it, whatever it is shown."""

    def detect(
        self,
        picture: Picture,
        threshold: float = 0.6,  # noqa: ARG002
        iou: float = 0.4,  # noqa: ARG002
    ) -> Faces:
        scale = max(picture.shape) / 110
        boxes = np.array([[30, 40, 50, 60], [0, 0, 9, 9]], np.float32) * scale
        return Faces(boxes, np.zeros((2, 5, 2), np.float32), np.ones(2, np.float32))


def test_backdrops_from_rooms_show_no_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_render, "ROOM_SHARE", 1.0)
    wall = np.zeros((600, 900), np.uint8)
    wall[:, :300] = 255  # somebody in white
    unknown = np.full((1, 5, 2), np.nan, np.float32)
    person = Faces(np.array([[0, 0, 300, 600]], np.float32), unknown, np.ones(1, np.float32))
    with_room = replace(stock(), rooms=(Photo(wall, person),))
    drawn = [face_render._street(with_room, np.random.default_rng(seed)) for seed in range(40)]
    shown = [backdrop for backdrop in drawn if backdrop is not None]
    assert 0 < len(shown) < len(drawn)
    assert all(backdrop.max() < 255 for backdrop in shown)


def test_traps_are_false_alarms_away_from_every_face() -> None:
    cut = traps(_SeesTwo(None, 1), [photo()])
    assert len(cut) == 3
    assert all(trap.box == pytest.approx([0, 0, 9, 9], abs=0.1) for trap in cut)


class _SeesThePhotos(Detector):
    """Reports the face of `photo()` with a score of 0.3, and nothing else."""

    def detect(
        self,
        picture: Picture,  # noqa: ARG002
        threshold: float = 0.6,  # noqa: ARG002
        iou: float = 0.4,  # noqa: ARG002
    ) -> Faces:
        faces = photo().faces
        return Faces(faces.boxes, faces.landmarks, np.array([0.3], np.float32))


def test_faces_that_a_detector_hardly_sees_are_shown_more_often() -> None:
    faces = photo().faces
    away = Faces(faces.boxes + 200, faces.landmarks + 200, faces.scores)
    seen = hardness(_SeesThePhotos(None, 1), Photo(photo().picture, faces.joined(away)))
    assert seen.tolist() == pytest.approx([3.0, 5.0])


def test_the_chances_of_faces_grow_with_their_factors() -> None:
    two = (photo(), photo())
    drawn = weigh(two, [np.array([1.0], np.float32), np.array([4.0], np.float32)])
    assert drawn.up_to[0] / drawn.up_to[1] == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(3))
def test_against_the_light_faces_are_darker_than_what_is_around_them(seed: int) -> None:
    grey_picture = np.full((200, 200), 128, np.uint8)
    known = photo().faces
    face = Faces(np.array([[80, 60, 120, 110]], np.float32), known.landmarks, known.scores)
    lit = light_from_behind(grey_picture, face, np.random.default_rng(seed))
    assert lit[70:100, 90:110].mean() < 120 < lit[:30].mean()


def test_what_people_wear_keeps_the_label_and_changes_the_picture() -> None:
    changed, halved = 0, 0
    for seed in range(60):
        before = photo()
        after = cover(before, np.random.default_rng(seed))
        (box,), (left,) = after.faces.boxes, after.faces.boxes[:, 0]
        whole = (before.faces.boxes[0, 2:] - before.faces.boxes[0, :2]).prod()
        assert len(after.faces) == 1
        assert 0 <= left < box[2] <= after.picture.shape[1]
        assert (box[2:] - box[:2]).prod() <= whole + 1e-3
        halved += bool((box[2:] - box[:2]).prod() < whole - 1)
        changed += after.picture.shape != before.picture.shape or bool(
            (after.picture != before.picture).any()
        )
    assert changed == 60
    assert 5 < halved < 25


def test_a_hat_has_headroom_above_a_face_at_the_top_of_its_photo() -> None:
    faces = photo().faces
    high = Photo(
        photo().picture[30:],
        Faces(faces.boxes - [0, 30, 0, 30], faces.landmarks - [0, 30], faces.scores),
    )
    raised = [cover(high, np.random.default_rng(seed)) for seed in range(40)]
    hats = [rendered for rendered in raised if rendered.picture.shape[0] > high.picture.shape[0]]
    assert hats
    assert all(hat.faces.boxes[0, 1] > 0 for hat in hats)
