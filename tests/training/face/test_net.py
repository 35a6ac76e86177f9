"""The detector's net, its losses, its training and its ONNX file, on toy data."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from torch import Tensor  # noqa: E402

from roommood.shared.errors import ConfigError, ModelError  # noqa: E402
from roommood.training.face.data import Faces, Floats  # noqa: E402
from roommood.training.face.decoding import with_decoding  # noqa: E402
from roommood.training.face.evaluate import Judged  # noqa: E402
from roommood.training.face.export import operating_point, write  # noqa: E402
from roommood.training.face.graph import build  # noqa: E402
from roommood.training.face.loss import assign, flatten, losses  # noqa: E402
from roommood.training.face.mix import average_checkpoints  # noqa: E402
from roommood.training.face.model_file import (  # noqa: E402
    Card,
    add_decoding,
    self_test_picture,
)
from roommood.training.face.net import (  # noqa: E402
    GREY_MEAN,
    GREY_STD,
    FaceNet,
    NetShape,
    cells,
    decode_boxes,
    decode_landmarks,
    parameters,
)
from roommood.training.face.paste import CROP  # noqa: E402
from roommood.training.face.render import LABEL_WIDTH, MAX_FACES  # noqa: E402
from roommood.training.face.report import NO_BOXES  # noqa: E402
from roommood.training.face.teacher import Detector, decode, decoded  # noqa: E402
from roommood.training.face.train import (  # noqa: E402
    Recipe,
    grow,
    load_average,
    rate_at,
    train,
)
from roommood.training.face.windows import Window, mirror_labels, move_rows  # noqa: E402

SMALL = NetShape(stem=8, widths=(8, 8, 16), depths=(1, 1, 1), necks=(8, 16, 16))


def labels(*boxes: tuple[float, float, float, float], score: float = 0.9) -> Tensor:
    rows: Tensor = torch.zeros(1, 6, 16)
    for i, (left, top, right, bottom) in enumerate(boxes):
        rows[0, i, :4] = torch.tensor([left, top, right, bottom])
        rows[0, i, 4:14] = torch.tensor([(left + right) / 2, (top + bottom) / 2] * 5)
        rows[0, i, 14:] = torch.tensor([score, 1.0])
    return rows


def perfect(rows: Tensor, where: Tensor) -> Tensor:
    """Raw outputs of a net that says the first face's box and points in every cell."""
    left, top, right, bottom = rows[0, 0, :4]
    stride = where[:, 2]
    raw: Tensor = torch.zeros(1, len(where), 15)
    raw[0, :, 1] = (left + right) / 2 / stride - where[:, 0]
    raw[0, :, 2] = (top + bottom) / 2 / stride - where[:, 1]
    raw[0, :, 3] = torch.log((right - left) / stride)
    raw[0, :, 4] = torch.log((bottom - top) / stride)
    points = rows[0, 0, 4:14].reshape(1, 5, 2) / stride[:, None, None] - where[:, None, :2]
    raw[0, :, 5:] = points.flatten(1)
    return raw


def test_the_net_answers_for_every_cell_and_fits_its_budget() -> None:
    levels = FaceNet().eval()(torch.zeros(2, 1, 96, 160))
    assert [tuple(level.shape) for level in levels] == [(2, 240, 15), (2, 60, 15), (2, 15, 15)]
    assert parameters(FaceNet()) < 170_000


def test_both_decoders_agree() -> None:
    where, raw = cells(64, 96), torch.randn(1, 8 * 12 + 4 * 6 + 2 * 3, 15)
    raw[..., 0] = 1.0
    outputs: dict[str, Floats] = {}
    start = 0
    for stride, count in ((8, 96), (16, 24), (32, 6)):
        level = raw[:, start : start + count].numpy()
        outputs |= {f"cls_{stride}": level[..., :1], f"bbox_{stride}": level[..., 1:5]}
        outputs[f"kps_{stride}"] = level[..., 5:]
        start += count
    faces = decode(outputs, 64, 96, 0.5)
    np.testing.assert_allclose(
        faces.boxes, decode_boxes(raw[0, :, 1:5], where), rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(
        faces.landmarks, decode_landmarks(raw[0, :, 5:], where), rtol=1e-4, atol=1e-3
    )


def test_a_face_gets_cells_inside_it_and_a_tiny_one_gets_some_too() -> None:
    where = cells(128, 128)
    rows, image = flatten(labels((20, 20, 70, 80), (100, 100, 106, 107)))
    boxes = torch.cat([where[:, :2] * where[:, 2:] - 4, where[:, :2] * where[:, 2:] + 12], 1)
    targets = assign(torch.full((1, len(where)), 0.5), boxes[None], rows, image, where)
    middle = (where[:, :2] + 0.5) * where[:, 2:]
    chosen = targets.score[0] > 0
    first = chosen & (targets.face[0] == 0)
    assert 1 <= int(first.sum()) <= 10
    assert ((middle[first] > 20) & (middle[first] < 80)).all()
    assert (chosen & (targets.face[0] == 1)).any()


def test_cells_of_an_ignored_face_pay_nothing() -> None:
    where = cells(128, 128)
    rows, image = flatten(labels((20, 20, 70, 80), score=0.0))
    boxes = decode_boxes(torch.zeros(1, len(where), 4), where)
    targets = assign(torch.full((1, len(where)), 0.5), boxes, rows, image, where)
    assert targets.score.sum() == 0
    assert 0 < (targets.weight == 0).sum() < len(where)


def test_a_perfect_answer_costs_no_box_and_no_landmarks() -> None:
    where, rows = cells(128, 128), labels((20, 20, 70, 80))
    costs = losses(perfect(rows, where), rows, where)
    assert float(costs.box) == pytest.approx(0, abs=1e-4)
    assert float(costs.landmarks) == pytest.approx(0, abs=1e-4)
    wrong = losses(torch.zeros(1, len(where), 15), rows, where)
    assert float(wrong.total) > float(costs.total)


def test_a_picture_without_faces_costs_a_score_alone() -> None:
    where = cells(64, 64)
    costs = losses(torch.zeros(1, len(where), 15), labels(), where)
    assert float(costs.score) > 0
    assert float(costs.box) == float(costs.landmarks) == 0


def test_mirrored_labels_mirror_back() -> None:
    rows = labels((20, 20, 70, 80))
    rows[0, 0, 4:14] = torch.arange(10.0)
    assert torch.equal(mirror_labels(mirror_labels(rows, 256), 256), rows)
    assert mirror_labels(rows, 256)[0, 0, :4].tolist() == [186, 20, 236, 80]


def test_a_window_moves_the_labels_and_drops_what_it_cuts_off() -> None:
    rows = labels((2, 30, 22, 50), (40, 10, 60, 30))
    moved = move_rows(rows, torch.tensor([14, 8]), 32)
    assert moved[0, 0, :4].tolist() == [0, 22, 8, 32]  # a third is left, and ignored
    assert moved[0, 0, 14] == 0
    assert moved[0, 1, :4].tolist() == [26, 2, 32, 22]
    assert moved[0, 1, 14] == 0
    whole = move_rows(rows, torch.tensor([30, 4]), 32)
    assert whole[0, 0].tolist() == [0.0] * 16  # nothing is left
    assert whole[0, 1, :4].tolist() == [10, 6, 30, 26]
    assert whole[0, 1, 14] == pytest.approx(0.9)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_window_shows_picture_and_labels_alike(mirrored: bool) -> None:
    window = Window(64, 32, 96, mirrored)
    picture, rows = torch.zeros(1, CROP, CROP), labels((50, 110, 70, 140))
    picture[0, 110:140, 50:70] = 255
    left, top, right, bottom = window.rows(rows)[0, 0, :4].int().tolist()
    shown = window.of(picture)[0]
    assert shown.shape == (64, 64)
    assert shown[top:bottom, left:right].mean() == 255
    assert shown.sum() == 255 * 20 * 30


def test_the_rate_climbs_stays_and_falls_to_nothing() -> None:
    recipe = Recipe(steps=1000, warmup=100, decay=0.3, rate=1.0)
    assert rate_at(0, 0, recipe) < rate_at(50, 0.05, recipe) < rate_at(100, 0.1, recipe) == 1
    assert rate_at(699, 0.699, recipe) == 1
    assert rate_at(850, 0.85, recipe) == pytest.approx(0.5)
    assert rate_at(1000, 1.0, recipe) == 0


def shard(folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows = np.zeros((8, MAX_FACES, LABEL_WIDTH), np.float32)
    rows[:, :1] = labels((10, 10, 50, 50))[:, :1].numpy()
    np.save(folder / "shard-0000.npy", rng.integers(0, 255, (8, CROP, CROP), dtype=np.uint8))
    np.save(folder / "shard-0000.labels.npy", rows)


def test_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    shard(tmp_path)
    checkpoint = tmp_path / "face.pt"
    train(tmp_path, checkpoint, Recipe(steps=2, batch=2), SMALL, print)
    first = load_average(checkpoint).stem[0].weight
    train(tmp_path, checkpoint, Recipe(steps=4, batch=2), SMALL, print)
    assert torch.load(checkpoint, weights_only=True)["step"] == 4
    assert not torch.equal(first, load_average(checkpoint).stem[0].weight)


def test_the_average_of_two_checkpoints_lies_between_them(tmp_path: Path) -> None:
    paths = [tmp_path / "a.pt", tmp_path / "b.pt"]
    for path, value in zip(paths, (1.0, 3.0), strict=True):
        net = FaceNet(SMALL)
        torch.nn.init.constant_(net.stem[0].weight, value)
        torch.save({"shape": asdict(SMALL), "average": net.state_dict()}, path)
    average_checkpoints(paths, tmp_path / "mean.pt")
    assert load_average(tmp_path / "mean.pt").stem[0].weight.unique().tolist() == [2.0]
    torch.save({"shape": {}, "average": {}}, paths[1])
    with pytest.raises(ModelError, match="one shape"):
        average_checkpoints(paths, tmp_path / "mean.pt")


def test_a_deeper_net_begins_as_the_one_it_grew_from() -> None:
    deeper = replace(SMALL, depths=(2, 1, 1), head_depths=(2, 1, 1))
    small, large = FaceNet(SMALL).eval(), FaceNet(deeper).eval()
    grow(large, small)
    picture = torch.randn(1, 1, 64, 64)
    for mine, theirs in zip(large(picture), small(picture), strict=True):
        torch.testing.assert_close(mine, theirs)
    with pytest.raises(ModelError, match="more than depth"):
        grow(FaceNet(), small)


def test_a_net_of_other_depths_keeps_what_both_have_and_the_middle_of_the_stem() -> None:
    given = FaceNet(replace(SMALL, stem_kernel=8, stem_depth=0, head_depths=(1, 1, 1)))
    net = FaceNet(replace(SMALL, stem_kernel=6, stem_depth=1, head_depths=(0, 1, 1)))
    grow(net, given)
    assert torch.equal(net.stem[0].weight, given.stem[0].weight[..., 1:-1, 1:-1])
    assert torch.equal(net.lateral8[0].weight, given.lateral8[0].weight)
    assert net.stage4[0].pointwise[1].weight.abs().max() == 0


def test_training_without_shards_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="render some first"):
        train(tmp_path, tmp_path / "face.pt", Recipe(steps=1), SMALL, print)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[FaceNet, Path]:
    torch.manual_seed(0)
    net = FaceNet().train()
    for _ in range(3):
        net(torch.randn(2, 1, 64, 64) * 2)
    path = tmp_path_factory.mktemp("face") / "face.onnx"
    write(net.eval(), path, Card("face-test", "none", "noise", {}, 0.5, 0.6, 0.4))
    return net, path


def test_the_file_answers_as_the_net_does_for_any_size(exported: tuple[FaceNet, Path]) -> None:
    import onnx

    net, path = exported
    raw = path.with_name("raw.onnx")
    onnx.save(build(net), str(raw))
    picture = np.random.default_rng(1).integers(0, 256, (2, 1, 96, 160)).astype(np.float32)
    outputs = Detector.open(raw).outputs(picture)
    with torch.no_grad():
        levels = net((torch.from_numpy(picture) - GREY_MEAN) / GREY_STD)
    for stride, level in zip((8, 16, 32), levels, strict=True):
        np.testing.assert_allclose(outputs[f"bbox_{stride}"], level[..., 1:5], atol=0.02)
        np.testing.assert_allclose(outputs[f"cls_{stride}"], level[..., :1].sigmoid(), atol=0.01)
        np.testing.assert_allclose(outputs[f"kps_{stride}"], level[..., 5:], atol=0.02)


def test_the_file_decodes_as_its_readers_do(exported: tuple[FaceNet, Path]) -> None:
    import onnx

    net, path = exported
    raw, given = path.with_name("raw.onnx"), path.with_name("given.onnx")
    model = build(net)
    entries = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    onnx.helper.set_model_props(model, entries)
    onnx.save(model, str(raw))
    add_decoding(raw, given)
    picture = np.random.default_rng(2).integers(0, 256, (96, 160, 3), np.uint8)
    reader = Detector.open(raw)
    expected = decode(reader.outputs(reader.tensor(picture)), 96, 160, 0.0)
    for file in (path, given):
        reader = Detector.open(file)
        read = decoded(reader.outputs(reader.tensor(picture)))
        np.testing.assert_allclose(read.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(read.boxes, expected.boxes, atol=1e-3)
        np.testing.assert_allclose(read.landmarks, expected.landmarks, atol=1e-3)


def test_a_net_of_others_is_not_decoded(tmp_path: Path) -> None:
    import onnx

    graph = onnx.parser.parse_graph(
        "net (float[1, 1, H, W] picture) => (float[N] cls_8) { cls_8 = Flatten (picture) }"
    )
    with pytest.raises(ModelError, match="cls_8 does not come from a Sigmoid"):
        with_decoding(onnx.helper.make_model(graph))


def test_the_file_is_small_and_carries_its_contract(exported: tuple[FaceNet, Path]) -> None:
    import onnx

    path = exported[1]
    assert path.stat().st_size <= 350_000
    entries = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert entries["roommood.contract"] == "1"
    assert entries["roommood.task"] == "face"
    assert json.loads(entries["roommood.input"])["channels"] == 1
    test = json.loads(entries["roommood.selftest"])
    detector = Detector.open(path)
    outputs = detector.outputs(detector.tensor(self_test_picture(test["seed"])))
    for name, expected in test["sums"].items():
        assert outputs[name].sum() == pytest.approx(expected, rel=1e-3)


def _false_faces(*scores: float) -> Faces:
    """One picture's boxes with those scores, far from each other."""
    left = np.arange(len(scores), dtype=np.float32) * 100
    boxes = np.stack([left, left, left + 10, left + 10], 1)
    return Faces(boxes, np.zeros((len(scores), 5, 2), np.float32), np.array(scores, np.float32))


def test_at_the_operating_point_few_things_are_faces_and_a_tenth_of_these_sure() -> None:
    nothing = Judged(np.zeros((1, 1), np.uint8), NO_BOXES, NO_BOXES[:, 0] > 0)
    scores = [0.355, *[0.405 + step / 100 for step in range(9)], 0.905]
    detections = [_false_faces(score) for score in scores] + [Faces.none()] * 239
    threshold, sure = operating_point([nothing] * len(detections), detections)
    assert threshold == pytest.approx(0.36)  # ten of 250
    assert sure == pytest.approx(0.49)  # one of these ten
