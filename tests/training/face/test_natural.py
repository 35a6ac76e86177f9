"""Natural crops: the teacher's answers in every cell, on disk, through windows, learnt."""

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("skimage")

from roommood.training.face.answers import (  # noqa: E402
    DOUBT,
    LEVELS,
    UNKNOWN,
    NaturalShard,
    answers,
    every_cell,
    missed,
    natural_shards,
)
from roommood.training.face.batches import Endless, batches  # noqa: E402
from roommood.training.face.data import Faces, save_faces  # noqa: E402
from roommood.training.face.dense import Dense, dense_losses, natural_window  # noqa: E402
from roommood.training.face.graph import build  # noqa: E402
from roommood.training.face.mix import mix_in  # noqa: E402
from roommood.training.face.natural import load_album, render_natural  # noqa: E402
from roommood.training.face.net import FaceNet, NetShape, cells, decode_boxes  # noqa: E402
from roommood.training.face.paste import CROP  # noqa: E402
from roommood.training.face.teacher import Detector, label  # noqa: E402
from roommood.training.face.teacher import View as TeacherView  # noqa: E402
from roommood.training.face.train import Recipe, load_average, train  # noqa: E402
from roommood.training.face.weights import net_from_onnx  # noqa: E402
from tests.inference_worker.pictures import astronaut  # noqa: E402

SHIPPED = Path(__file__).parents[3] / "inference_worker/models/face.onnx"
SMALL = NetShape(8, (8, 16, 16), (1, 1, 1), (8, 16, 16), (0, 1, 0))
EVERY = cells(CROP, CROP)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """The shipped detector with its maps as outputs, as a YuNet has them."""
    net = net_from_onnx(SHIPPED, torch.rand(2, 1, 64, 64) * 255).eval()
    path = tmp_path_factory.mktemp("teacher") / "maps.onnx"
    onnx.save(build(net), str(path))
    return Detector.open(path)


@pytest.fixture(scope="module")
def shards(teacher: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six crops of one photograph of a person, with walls around it."""
    root = tmp_path_factory.mktemp("natural")
    for name in ("people", "faces-boxes", "portraits", "single-faces", "things", "no-faces"):
        (root / name / "images").mkdir(parents=True)
        save_faces(root / f"{name}.npz", {})
    cv2.imwrite(str(root / "people/images/ccp_1.png"), astronaut())
    save_faces(root / "people.npz", {"ccp_1.png": label(teacher, astronaut(), [TeacherView()])})
    walls = np.random.default_rng(0).integers(80, 120, (400, 500, 3), dtype=np.uint8)
    cv2.imwrite(str(root / "things/images/imagenet_1.png"), walls)
    save_faces(root / "things.npz", {"imagenet_1.png": Faces.none()})
    album = load_album(root, root, lambda _: None)
    render_natural(album, teacher, root / "natural-0000", 6, seed=3)
    return root


def one_face(box: tuple[float, float, float, float], score: float = 1.0) -> Faces:
    return Faces(
        np.array([box], np.float32), np.zeros((1, 5, 2), np.float32), np.array([score], np.float32)
    )


def certain_of(box: tuple[float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Answers of a teacher that is sure of one box in the cell of its middle at stride 8."""
    left, top, right, bottom = box
    column, row = int((left + right) / 16), int((top + bottom) / 16)
    cell = row * (CROP // 8) + column
    scores, places = np.zeros(len(EVERY), np.float32), np.zeros((len(EVERY), 14), np.float32)
    scores[cell] = 0.9
    places[cell, :2] = (left + right) / 16 - column, (top + bottom) / 16 - row
    places[cell, 2:4] = np.log((right - left) / 8), np.log((bottom - top) / 8)
    return scores, places


def test_what_the_teacher_sees_where_nobody_labelled_a_face_is_not_learnt() -> None:
    scores, places = certain_of((40, 40, 72, 80))
    agreed = answers(scores, places, one_face((42, 40, 72, 82)))
    assert agreed.scores.max() == round(0.9 * LEVELS)
    assert len(agreed.cells) == 1
    doubted = answers(scores, places, one_face((200, 200, 230, 240)))
    assert (doubted.scores == UNKNOWN).sum() == 1
    assert len(doubted.cells) == 0
    assert scores.max() > DOUBT


def test_a_face_that_the_teacher_misses_stands_beside_and_a_spoilt_one_is_left_out() -> None:
    scores, places = certain_of((40, 40, 72, 80))
    assert not missed(scores, places, one_face((42, 40, 72, 82)), plain=True).any()
    row = missed(scores, places, one_face((200, 200, 230, 240)), plain=True)[0]
    assert row[:4].tolist() == [200, 200, 230, 240]
    assert row[14] == 1
    assert missed(scores, places, one_face((200, 200, 230, 240)), plain=False)[0, 14] == 0
    assert missed(scores, places, one_face((200, 200, 212, 214)), plain=True)[0, 14] == 0


def test_a_shard_holds_what_the_teacher_answers_to_its_pictures(
    shards: Path, teacher: Detector
) -> None:
    shard = NaturalShard.open(natural_shards(shards)[0])
    assert len(shard) == 6
    assert any((scores[scores != UNKNOWN] > 0.4 * LEVELS).any() for scores in shard.scores)
    shown = np.asarray(cv2.cvtColor(np.array(shard.pictures[0]), cv2.COLOR_GRAY2BGR), np.uint8)
    scores, _ = every_cell(teacher.outputs(teacher.tensor(shown)))
    assert scores.shape == shard.scores[0].shape


@pytest.mark.parametrize("side", [224, 256, 320])
def test_in_a_window_each_answer_lies_where_its_picture_does(shards: Path, side: int) -> None:
    """The picture of each window is drawn with a bright box where the teacher sees a face: the
    answers' boxes must lie on it, wherever the window is, mirrored or not."""
    shard = NaturalShard.open(natural_shards(shards)[0])
    shown = [i for i in range(len(shard)) if (shard.cells[i] >= 0).any()]
    pictures = np.zeros((len(shard), CROP, CROP), np.uint8)
    for i in shown:
        known = torch.from_numpy(shard.cells[i][shard.cells[i] >= 0].astype(int))
        places = torch.from_numpy(shard.places[i][: len(known)].astype(np.float32))
        for left, top, right, bottom in decode_boxes(places[:, :4], EVERY[known]).int().tolist():
            pictures[i, max(top, 0) : bottom, max(left, 0) : right] = 255
    drawn = NaturalShard(pictures, shard.scores, shard.cells, shard.places, shard.missed)
    rng = np.random.default_rng(7)
    seen = 0
    for _ in range(12):
        windows, dense = natural_window([(drawn, i) for i in shown], side, rng)
        where = cells(side, side)
        boxes = decode_boxes(dense.places[:, :4], where[dense.cell]).clamp(0, side).round().int()
        for image, (left, top, right, bottom) in zip(dense.image, boxes.tolist(), strict=True):
            part = windows[image, top + 1 : bottom - 1, left + 1 : right - 1]
            assert part.numel() == 0 or part.float().mean() > 250
            seen += part.numel() > 0
        assert (dense.scores[dense.image, dense.cell] > 0).all()
    assert seen > 20


def perfect(dense: Dense, count: int) -> torch.Tensor:
    """Raw outputs of a net that answers as the teacher does."""
    raw = torch.zeros(*dense.scores.shape, 15)
    raw[..., 0] = torch.logit(dense.scores.clamp(1e-4, 1 - 1e-4))
    raw[dense.image, dense.cell, 1:] = dense.places
    return raw[:count]


def test_who_answers_as_the_teacher_pays_next_to_nothing(shards: Path) -> None:
    shard = NaturalShard.open(natural_shards(shards)[0])
    _, dense = natural_window([(shard, i) for i in range(6)], CROP, np.random.default_rng(1))
    dense = Dense(**{**dense.__dict__, "missed": torch.zeros_like(dense.missed)})
    loss = dense_losses(perfect(dense, 6), dense, EVERY)
    assert float(loss.total) < 0.01
    other = dense_losses(torch.zeros(6, len(EVERY), 15), dense, EVERY)
    assert float(other.score) > 1
    assert float(other.box) > 0.1
    assert float(other.landmarks) > 0.01


def test_a_missed_face_is_wanted_beside_what_the_teacher_answers(shards: Path) -> None:
    shard = NaturalShard.open(natural_shards(shards)[0])
    _, dense = natural_window([(shard, 0)], CROP, np.random.default_rng(1))
    nothing = torch.zeros_like(dense.missed)
    with_face = nothing.clone()
    with_face[0, 0, :4] = torch.tensor([100.0, 100.0, 140.0, 150.0])
    with_face[0, 0, 14] = 1.0
    raw = perfect(dense, 1)
    without = dense_losses(raw, Dense(**{**dense.__dict__, "missed": nothing}), EVERY)
    with_missed = dense_losses(raw, Dense(**{**dense.__dict__, "missed": with_face}), EVERY)
    assert float(with_missed.score) > float(without.score) + 0.05


def test_training_takes_natural_crops_alone_or_beside_rendered_ones(
    shards: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "natural-0000").symlink_to(shards / "natural-0000")
    train(folder, tmp_path / "face.pt", Recipe(steps=2, batch=3), SMALL, print)
    first = load_average(tmp_path / "face.pt").stem[0].weight
    rows = np.zeros((4, 48, 16), np.float32)
    rows[:, 0] = [40, 40, 90, 100, *[60] * 10, 0.9, 1]
    noise = np.random.default_rng(0).integers(0, 255, (4, CROP, CROP), dtype=np.uint8)
    np.save(folder / "shard-0000.npy", noise)
    np.save(folder / "shard-0000.labels.npy", rows)
    batch = next(batches(folder, 3, np.random.default_rng(0)))
    assert batch.dense is not None
    assert batch.labels is not None
    assert (len(batch.dense.scores), len(batch.labels), len(batch.pictures)) == (2, 1, 3)
    train(folder, tmp_path / "face.pt", Recipe(steps=4, batch=3), SMALL, print)
    assert not torch.equal(first, load_average(tmp_path / "face.pt").stem[0].weight)


def test_a_share_of_what_a_run_began_with_comes_back(shards: Path, tmp_path: Path) -> None:
    began, ended = FaceNet(SMALL), FaceNet(SMALL)
    for net, value, name in ((began, 0.0, "began"), (ended, 2.0, "ended")):
        torch.nn.init.constant_(net.stem[0].weight, value)
        torch.save({"shape": asdict(SMALL), "average": net.state_dict()}, tmp_path / f"{name}.pt")
    mix_in(tmp_path / "ended.pt", tmp_path / "began.pt", 0.25, shards, tmp_path / "mixed.pt")
    mixed = load_average(tmp_path / "mixed.pt")
    assert mixed.stem[0].weight.unique().tolist() == [1.5]
    assert mixed.stem[1].running_mean.abs().max() > 0  # measured on the crops


def test_crops_are_drawn_from_the_shards_that_they_were_chosen_in_whatever_comes_and_goes() -> None:
    stock = [["a"] * 4, ["b"] * 2]
    endless = Endless(lambda: stock, np.random.default_rng(0))
    drawn = endless.take(2)
    stock[:] = [["c"]]  # shorter shards, in other places
    drawn += endless.take(3)
    assert sorted(shard[i] for shard, i in drawn) == ["a", "a", "b", "c", "c"]
    stock.clear()
    with pytest.raises(FileNotFoundError, match="render some"):
        endless.take(1)
