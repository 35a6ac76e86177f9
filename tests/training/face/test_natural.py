"""Natural crops: the teacher's answers in every cell, on disk, through windows, learnt."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("skimage")

from roommood.shared.errors import ConfigError  # noqa: E402
from roommood.training.face.answers import (  # noqa: E402
    DOUBT,
    LEVELS,
    PARTS,
    UNKNOWN,
    NaturalShard,
    answers,
    every_cell,
    missed,
    natural_shards,
)
from roommood.training.face.batches import batches  # noqa: E402
from roommood.training.face.data import Faces, save_faces  # noqa: E402
from roommood.training.face.dense import STEP, Dense, dense_losses, natural_window  # noqa: E402
from roommood.training.face.graph import build  # noqa: E402
from roommood.training.face.mix import mix_in  # noqa: E402
from roommood.training.face.natural import load_album, look, render_natural  # noqa: E402
from roommood.training.face.net import FaceNet, NetShape, cells, decode_boxes  # noqa: E402
from roommood.training.face.paste import CROP  # noqa: E402
from roommood.training.face.pool import Pool, rendered_pool  # noqa: E402
from roommood.training.face.teacher import Detector, label  # noqa: E402
from roommood.training.face.teacher import View as TeacherView  # noqa: E402
from roommood.training.face.train import Recipe, load_average, train  # noqa: E402
from roommood.training.face.weights import net_from_onnx  # noqa: E402
from roommood.training.face.windows import Window  # noqa: E402
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
    crops = parts(drawn, shown)
    seen = 0
    for _ in range(12):
        windows, dense = natural_window(crops, Window.drawn(side, rng, STEP))
        where = cells(side, side)
        boxes = decode_boxes(dense.places[:, :4], where[dense.cell]).clamp(0, side).round().int()
        for image, (left, top, right, bottom) in zip(dense.image, boxes.tolist(), strict=True):
            part = windows[image, top + 1 : bottom - 1, left + 1 : right - 1]
            assert part.numel() == 0 or part.float().mean() > 250
            seen += part.numel() > 0
        assert (dense.scores[dense.image, dense.cell] > 0).all()
    assert seen > 20


def parts(shard: NaturalShard, chosen: Sequence[int]) -> dict[str, torch.Tensor]:
    """Crops of a shard as a pool holds them."""
    return {name: torch.from_numpy(np.array(getattr(shard, name)[list(chosen)])) for name in PARTS}


def perfect(dense: Dense, count: int) -> torch.Tensor:
    """Raw outputs of a net that answers as the teacher does."""
    raw = torch.zeros(*dense.scores.shape, 15)
    raw[..., 0] = torch.logit(dense.scores.clamp(1e-4, 1 - 1e-4))
    raw[dense.image, dense.cell, 1:] = dense.places
    return raw[:count]


def test_who_answers_as_the_teacher_pays_next_to_nothing(shards: Path) -> None:
    shard = NaturalShard.open(natural_shards(shards)[0])
    _, dense = natural_window(parts(shard, range(6)), Window(CROP, 0, 0, False))
    dense = Dense(**{**dense.__dict__, "missed": torch.zeros_like(dense.missed)})
    loss = dense_losses(perfect(dense, 6), dense, EVERY)
    assert float(loss.total) < 0.01
    other = dense_losses(torch.zeros(6, len(EVERY), 15), dense, EVERY)
    assert float(other.score) > 1
    assert float(other.box) > 0.1
    assert float(other.landmarks) > 0.01


def test_a_missed_face_is_wanted_beside_what_the_teacher_answers(shards: Path) -> None:
    shard = NaturalShard.open(natural_shards(shards)[0])
    _, dense = natural_window(parts(shard, [0]), Window(CROP, 0, 0, False))
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


def write_rendered(folder: Path, number: int, value: int, count: int) -> None:
    pictures = np.full((count, CROP, CROP), value, np.uint8)
    np.save(folder / f"shard-{number:04d}.npy", pictures)
    rows = np.full((count, 48, 16), value, np.float32)
    np.save(folder / f"shard-{number:04d}.labels.npy", rows)


def drawn(pool: Pool, count: int) -> set[int]:
    """The values of crops drawn, each of which has its own labels."""
    crops = pool.draw(count, np.random.default_rng(0))
    assert torch.equal(crops["pictures"][:, 0, 0].float(), crops["labels"][:, 0, 0])
    return set(crops["pictures"].flatten(1).float().mean(1).tolist())


def test_new_shards_are_taken_up_and_the_oldest_crops_give_way(tmp_path: Path) -> None:
    pool = rendered_pool(tmp_path, 6, torch.device("cpu"))
    write_rendered(tmp_path, 0, value=1, count=4)
    pool.refresh()
    assert (len(pool), drawn(pool, 40)) == (4, {1})
    (tmp_path / "shard-0000.npy").unlink()  # what was read stays
    write_rendered(tmp_path, 1, value=2, count=4)
    pool.refresh()
    assert (len(pool), drawn(pool, 40)) == (6, {1, 2})
    write_rendered(tmp_path, 2, value=3, count=9)
    pool.refresh()
    assert (len(pool), drawn(pool, 40)) == (6, {3})


def test_without_any_shard_training_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="render some"):
        next(batches(tmp_path, 4, np.random.default_rng(0)))


def test_of_a_small_face_the_surer_of_two_looks_counts_and_elsewhere_their_mean(
    teacher: Detector,
) -> None:
    crop = np.full((CROP, CROP, 3), 90, np.uint8)
    face = np.asarray(cv2.resize(astronaut()[:256, 128:384], (44, 44)), np.uint8)
    crop[96:140, 200:244] = face
    plain, _ = every_cell(teacher.outputs(teacher.tensor(crop)))
    seen = label(teacher, crop, [TeacherView(2.0)])
    assert len(seen) == 1
    sure, places = look(teacher, crop, seen)
    assert sure.max() >= plain.max()
    best = decode_boxes(torch.from_numpy(places[sure.argmax(), :4])[None], EVERY[[sure.argmax()]])
    assert best[0].numpy() == pytest.approx(seen.boxes[0], abs=4)
    doubted, _ = look(teacher, crop, one_face((10, 10, 30, 30)))
    assert doubted.max() < sure.max()


def test_what_an_earlier_detector_took_for_a_face_is_shown_more_often(
    shards: Path, teacher: Detector
) -> None:
    walls = np.asarray(cv2.imread(str(shards / "things/images/imagenet_1.png")), np.uint8)
    walls[180:220, 230:270] = cv2.resize(astronaut()[:256, 128:384], (40, 40))
    root = shards.parent / "trapped"
    shutil.copytree(shards, root, dirs_exist_ok=True)
    cv2.imwrite(str(root / "things/images/imagenet_1.png"), walls)
    album = load_album(root, root, lambda _: None, teacher)
    assert len(album.traps) > 0
    middle = (album.traps[0].box[:2] + album.traps[0].box[2:]) / 2
    assert middle == pytest.approx([250, 200], abs=15)
    assert not load_album(root, root, lambda _: None).traps
