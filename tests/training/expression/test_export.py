"""An exported model runs in onnxruntime and says truthfully what it is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.making import votes, write_data, write_split

pytest.importorskip("torch")
pytest.importorskip("cv2")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

import torch

from roommood.inference_worker.evaluation.ferplus import UNCLEAR
from roommood.inference_worker.models.contract import ExpressionContract, from_metadata
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.shared.errors import ConfigError
from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from roommood.training.expression.card import read_recipe
from roommood.training.expression.distil import Learner, Stage
from roommood.training.expression.evaluate import Classifier, softmax
from roommood.training.expression.export import (
    LACKING_ODDS,
    ExportSettings,
    export,
    known_faces,
    never_learnt_from,
)
from roommood.training.expression.net import NetShape, one_headed
from roommood.training.expression.odds import fit_temperature
from roommood.training.expression.train import Run, TrainSettings, load_net, predict


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(write_data(tmp_path_factory.mktemp("data")))


def trained(folder: Path) -> Path:
    """The checkpoint of one epoch."""
    shape = NetShape(widths=(16, 16, 16), blocks=(1, 1, 1))
    path = folder / "run.pt"
    settings = TrainSettings(folder, path, shape, epochs=1, batch=8, held_out_percent=50)
    Run(settings).train(lambda *_: None)
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Path:
    path = checkpoint.parent / "expression.onnx"
    recipe = path.with_suffix(".toml")
    recipe.write_text('training_data = "noise"\nhow = "In a hurry."\ncommands = ["one", "two"]\n')
    # One epoch makes nobody sure of anything.
    export(ExportSettings(checkpoint, checkpoint.parent, path, "tiny-1", 50, 0.1, recipe=recipe))
    return path


@pytest.mark.parametrize(("eight_bits", "near"), [(False, 5e-3), (True, 5e-2)])
def test_the_graph_answers_as_the_network_did(
    checkpoint: Path,
    tmp_path: Path,
    eight_bits: bool,
    near: float,
    capfd: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / "expression.onnx"
    data = checkpoint.parent
    bare = {"eight_bits": eight_bits, "prior_power": 0.0, "raised": {}}
    export(ExportSettings(checkpoint, data, model, "tiny-1", 50, **bare))
    faces = np.random.default_rng(2).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    classifier = Classifier(model)
    assert "onnxruntime" not in capfd.readouterr().err, "a person reads it for an error"
    expected = softmax(predict(load_net(checkpoint), faces) / classifier.temperature)
    assert np.abs(classifier.probabilities(faces) - expected).max() < near


def test_weights_in_bytes_leave_room_for_processors_that_add_in_sixteen_bits(model: Path) -> None:
    import onnx

    weights = [onnx.numpy_helper.to_array(weight) for weight in onnx.load(model).graph.initializer]
    small = [weight for weight in weights if weight.dtype == np.int8 and weight.ndim == 4]
    assert small
    assert max(int(np.abs(weight.astype(int)).max()) for weight in small) <= 64


def test_any_number_of_faces_fits_in_a_batch(model: Path) -> None:
    session = Classifier(model).session
    for count in (1, 3, 8):
        (logits,) = session.run(["logits"], {"faces": np.zeros((count, 1, 48, 48), np.float32)})
        assert logits.shape == (count, 8)


def test_the_worker_accepts_the_contract(model: Path) -> None:
    metadata = Classifier(model).metadata
    contract = from_metadata(ExpressionContract, metadata, "tiny")
    assert contract.model_id == "tiny-1"
    assert contract.labels == EXPRESSIONS
    assert set(contract.confusion) == set(SIZE_CLASSES)
    assert json.loads(metadata["roommood.accuracy"])["n"] == 40


def test_the_selftest_repeats_what_was_recorded(model: Path) -> None:
    classifier = Classifier(model)
    recorded = json.loads(classifier.metadata["roommood.selftest"])
    made = np.random.default_rng(recorded["seed"]).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    assert np.abs(classifier.probabilities(made) - recorded["probabilities"]).max() < 1e-3


def test_an_expression_never_seen_has_an_empty_row_of_confusion(model: Path) -> None:
    tables = json.loads(Classifier(model).metadata["roommood.confusion"])
    assert tables["tiny"]["hard"][EXPRESSIONS.index("contempt")] == [0.0] * 8
    assert sum(tables["large"]["soft"][0]) == pytest.approx(1, abs=1e-3)


def test_the_card_beside_the_model_holds_its_figures_and_commands(model: Path) -> None:
    card = model.with_suffix(".MODEL_CARD.md").read_text()
    accuracy = json.loads(Classifier(model).metadata["roommood.accuracy"])["accuracy"]
    assert f"**{accuracy:.1%}**" in card
    assert "    one\n    two\n" in card
    assert "$" not in card


def test_a_recipe_with_an_unknown_key_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('training_data = "x"\nhow = "y"\ncommands = []\nhaste = 1\n')
    with pytest.raises(ConfigError, match="haste"):
        read_recipe(path)


def test_the_file_tells_nothing_about_the_machine_that_wrote_it(model: Path) -> None:
    content = model.read_bytes()
    assert b"stack_trace" not in content
    assert str(Path(__file__).parent.parent).encode() not in content


def test_probabilities_are_divided_by_the_shares_of_what_was_learnt(
    checkpoint: Path, tmp_path: Path
) -> None:
    data, model = checkpoint.parent, tmp_path / "expression.onnx"
    bare = {"eight_bits": False, "raised": {}}
    settings = ExportSettings(checkpoint, data, model, "tiny-1", 50, **bare)
    export(settings)
    faces = np.random.default_rng(2).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    added = Classifier(model).logits(faces) - predict(load_net(checkpoint), faces)
    learnt, _ = known_faces(settings)
    common, rare = int(learnt.argmax()), int(learnt.argmin())
    assert (added[:, rare] > added[:, common]).all()
    assert added[:, learnt == learnt.max()] == pytest.approx(added[0, common], abs=0.01)


def test_the_odds_of_an_expression_are_raised_as_asked(checkpoint: Path, tmp_path: Path) -> None:
    data, model = checkpoint.parent, tmp_path / "expression.onnx"
    asked = {"eight_bits": False, "prior_power": 0.0, "raised": {"fear": 3.0}, "caution": 1.0}
    export(ExportSettings(checkpoint, data, model, "tiny-1", 50, **asked))
    faces = np.random.default_rng(2).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    classifier = Classifier(model)
    plain = softmax(predict(load_net(checkpoint), faces) / classifier.temperature)
    raised = classifier.probabilities(faces)
    fear, neutral = EXPRESSIONS.index("fear"), EXPRESSIONS.index("neutral")
    gain = raised[:, fear] / raised[:, neutral] / (plain[:, fear] / plain[:, neutral])
    assert gain == pytest.approx(3.0, rel=0.15)


def test_what_no_picture_taught_is_never_answered_and_one_label_each_raises_nothing(
    tmp_path: Path,
) -> None:
    data, model = tmp_path / "own", tmp_path / "own.onnx"
    rows = [votes(happiness=10), votes(disgust=10)] * 20
    write_split(data / "FER2013Train", rows)
    write_split(data / "FER2013Valid", rows, seed=1)
    path = trained(data)
    export(ExportSettings(path, data, model, held_out_percent=50, eight_bits=False))
    faces = np.random.default_rng(2).integers(0, 256, (50, 48, 48), dtype=np.uint8)
    classifier = Classifier(model)
    taught = [EXPRESSIONS.index(name) for name in ("happiness", "disgust")]
    assert classifier.probabilities(faces)[:, taught].sum(axis=1).min() > 0.99
    added = (classifier.logits(faces) - predict(load_net(path), faces))[:, taught]
    assert added[:, 0] == pytest.approx(added[:, 1], abs=0.3)
    assert "FER" not in classifier.metadata["roommood.training_data"]
    assert "not stated" in classifier.metadata["roommood.licence"]
    assert classifier.metadata["roommood.model_id"] == "expression-own"


def test_odds_are_not_added_again_to_a_run_that_began_with_an_exported_file(
    checkpoint: Path, tmp_path: Path
) -> None:
    data = checkpoint.parent
    faces = np.random.default_rng(2).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    shape = load_net(SHIPPED_EXPRESSION).shape
    asked = {"epochs": 1, "batch": 8, "held_out_percent": 50}
    for name, start in (("again.pt", SHIPPED_EXPRESSION), ("once-more.pt", tmp_path / "again.pt")):
        Run(TrainSettings(data, tmp_path / name, shape, start_from=start, **asked)).train(
            lambda *_: None
        )
        out = tmp_path / f"{name}.onnx"
        export(ExportSettings(tmp_path / name, data, out, "tiny-2", 50, eight_bits=False))
        added = Classifier(out).logits(faces) - predict(load_net(tmp_path / name), faces)
        assert np.abs(added).max() < 0.02
    export(ExportSettings(checkpoint, data, tmp_path / "first.onnx", "tiny-2", 50))
    added = Classifier(tmp_path / "first.onnx").logits(faces) - predict(load_net(checkpoint), faces)
    assert np.abs(added).max() > 1


def test_a_second_heads_answer_is_divided_by_how_often_each_word_was_searched(
    checkpoint: Path, tmp_path: Path
) -> None:
    data, model = checkpoint.parent, tmp_path / "expression.onnx"
    shape = NetShape((8, 8, 8), (1, 1, 1), heads=2)
    student = Learner(shape, Stage({}, 1), torch.device("cpu"))
    student.save(tmp_path / "student.pt")
    asked = {"eight_bits": False, "prior_power": 0.0, "raised": {}, "first_label_power": 0.5}
    settings = ExportSettings(tmp_path / "student.pt", data, model, "tiny-1", 50, **asked)
    with pytest.raises(ConfigError, match="first-labels"):
        export(settings)
    first = tmp_path / "first.csv"
    words = ["happiness"] * 3 + ["fear"]
    lines = [f"FER2013Train/fer{n:07d}.png,{word}\n" for n, word in enumerate(words)]
    first.write_text("picture,first_label\n" + "".join(lines))
    export(replace(settings, first_labels=first))
    faces = np.random.default_rng(2).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    merged = one_headed(load_net(tmp_path / "student.pt"), 0.5)
    added = Classifier(model).logits(faces) - predict(merged, faces)
    # In units of the temperature that was fitted first.
    happiness, fear, contempt = (
        added[:, EXPRESSIONS.index(name)] for name in ("happiness", "fear", "contempt")
    )
    assert (fear > happiness).all()
    assert (fear - happiness) / contempt == pytest.approx(np.log(3) / LACKING_ODDS, rel=0.05)


def test_the_temperature_undoes_a_known_overconfidence() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 1.5, (4000, 8)).astype(np.float32)
    truth = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    assert fit_temperature(honest * 2, truth) == pytest.approx(2, rel=0.1)


def test_left_out_pictures_have_no_say_in_the_confusion_and_searched_words_have(
    tmp_path: Path,
) -> None:
    data = write_data(tmp_path / "data")
    left_out, first = tmp_path / "left-out.txt", tmp_path / "first.csv"
    left_out.write_text("FER2013Valid/fer0000000.png\n")
    first.write_text("picture,first_label\nFER2013Valid/fer0000002.png,sadness\n")
    plain = ExportSettings(tmp_path / "run.pt", data, tmp_path / "expression.onnx")
    _, kept_out = known_faces(plain)
    faces = never_learnt_from(plain, kept_out)
    fewer = never_learnt_from(replace(plain, leave_out=left_out, first_labels=first), kept_out)
    assert len(fewer.pictures) == len(faces.pictures) - 1
    assert (fewer.pictures[0] == faces.pictures[1]).all()
    assert (faces.searched == UNCLEAR).all()
    sadness = EXPRESSIONS.index("sadness")
    assert [n for n, word in enumerate(fewer.searched) if word == sadness] == [1]
