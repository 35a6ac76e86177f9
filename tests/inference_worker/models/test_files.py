"""Contracts of model files: read, checked, and explained where they are wrong."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

import roommood.inference_worker
from roommood.inference_worker.models.contract import Placement
from roommood.inference_worker.models.files import (
    SIDECAR_EXAMPLE,
    load_expression,
    load_face,
    to_report,
)
from roommood.inference_worker.vision.emotions import open_classifier
from roommood.inference_worker.vision.onnx_model import OnnxModel, Provider, find_provider
from roommood.shared.errors import ConfigError, ModelError, RoommoodError
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.inference_worker.tiny_models import (
    expression_metadata,
    expression_model,
    face_metadata,
    face_model,
)

UNIT = [[float(row == column) for column in range(8)] for row in range(8)]
TENSOR = json.loads(expression_metadata()["roommood.input"])


def test_the_whole_contract_is_read_from_the_file(tmp_path: Path) -> None:
    metadata = expression_metadata(
        labels=list(reversed(EXPRESSIONS)),
        temperature="1.25",
        sure_threshold="0.5",
        confusion={"small": {"hard": UNIT, "soft": UNIT}},
        crop={"of": "sqrt", "tight": {"side": 1.13, "dx": 0.0, "dy": -0.1}},
        licence="Apache-2.0",
        training_data="made for this test",
        accuracy={"a key of": "somebody else"},
    )
    _, contract = load_expression(expression_model(tmp_path / "e.onnx", metadata))
    assert contract.model_id == "tiny-1"
    assert contract.labels == tuple(reversed(EXPRESSIONS))
    assert (contract.temperature, contract.sure_threshold) == (1.25, 0.5)
    assert contract.crop.tight == Placement(1.13, 0.0, -0.1)
    assert contract.crop.haar is None
    assert contract.licence == "Apache-2.0"


def test_the_report_carries_what_the_reading_side_needs(tmp_path: Path) -> None:
    metadata = expression_metadata(
        temperature="2", confusion={"tiny": {"hard": UNIT, "soft": UNIT}}
    )
    _, contract = load_expression(expression_model(tmp_path / "e.onnx", metadata))
    report = to_report(contract)
    assert (report.model, report.labels, report.temperature) == ("tiny-1", EXPRESSIONS, 2.0)
    assert [list(row) for row in report.confusion["tiny"]["soft"]] == UNIT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_id": None}, "roommood.model_id is missing"),
        ({"model_id": "Big Net"}, "roommood.model_id is 'Big Net': .*a-z, 0-9"),
        ({"contract": "2"}, "roommood.contract is '2'"),
        ({"task": "face"}, "its task is 'face', not 'expression': give it to --detector"),
        ({"task": "mood"}, "roommood.task is 'mood': .*'expression'"),
        ({"labels": "[" * 200_000}, r"roommood.labels is '\[+', not JSON"),
        ({"labels": "[" * 900 + "]" * 900}, "labels|nested"),
        ({"labels": "neutral"}, "roommood.labels is 'neutral', not JSON"),
        (
            {"labels": ["neutral", "bored"]},
            "roommood.labels .*use two or more of neutral, happiness",
        ),
        ({"labels": ["happiness"]}, "roommood.labels .*use two or more of"),
        ({"labels": ["neutral", "neutral"]}, "each once"),
        ({"labels": ["Angry", "happy", "joy"]}, "not 'Angry' but anger; not 'happy' but happiness"),
        ({"input": TENSOR | {"width": 4}}, "roommood.input.width is '4': .*give 8 or more"),
        ({"input": TENSOR | {"colour": "grey"}}, "roommood.input.colour is 'grey': .*'gray'"),
        ({"input": TENSOR | {"colour": "bgr"}}, "colour is gray with 1 channel"),
        ({"input": TENSOR | {"mean": [0, 0]}}, "mean and std have 1 number"),
        ({"input": TENSOR | {"std": [0]}}, "roommood.input.std.0 is '0': give more than 0"),
        ({"input": TENSOR | {"widht": 8}}, "roommood.input.widht is '8'"),
        ({"crop": {"of": "height"}}, "roommood.crop.of is 'height': .*'max'"),
        ({"crop": {"of": "max", "haar": {"side": -1}}}, "roommood.crop.haar.side is '-1'"),
        ({"output": "scores"}, "roommood.output is 'scores': .*'logits'"),
        ({"temperature": "0"}, "roommood.temperature is '0': give more than 0"),
        ({"sure_threshold": "60"}, "roommood.sure_threshold is '60'"),
        ({"confusion": {"huge": {"hard": UNIT, "soft": UNIT}}}, "roommood.confusion.huge"),
        ({"confusion": {"tiny": {"hard": UNIT[:7], "soft": UNIT}}}, "confusion.tiny.hard"),
        ({"confusion": {"tiny": {"hard": [[1.0] * 8] * 8, "soft": UNIT}}}, "sum of each row"),
        ({"selftest": {"seed": 1, "probabilities": [[0.125] * 8]}}, "selftest.probabilities"),
    ],
)
def test_a_wrong_value_names_file_key_value_and_what_is_allowed(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    file = expression_model(tmp_path / "e.onnx", expression_metadata(**changes))
    with pytest.raises(ModelError, match=message) as caught:
        load_expression(file)
    assert "e.onnx" in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        (("n", 3, 8, 8), 8, r"its input is \?x3x8x8, but its contract says \?x1x8x8"),
        (("n", 1, 16, 16), 8, r"its input is \?x1x16x16"),
        ((4, 1, 8, 8), 8, "its input is 4x1x8x8"),
        (("n", 8, 8), 8, "one float32 input of four dimensions"),
        (("n", 1, 8, 8), 7, r"its output logits is \?x7, but 8 labels need \?x8"),
    ],
)
def test_a_model_of_another_shape_than_it_promises_is_refused_at_load(
    tmp_path: Path, shape: tuple[int | str, ...], labels: int, message: str
) -> None:
    file = expression_model(
        tmp_path / "e.onnx", shape=shape, brightness=[0] * labels, bias=[0] * labels
    )
    with pytest.raises(ModelError, match=message):
        load_expression(file)


def test_without_metadata_and_sidecar_the_error_shows_how_to_write_one(tmp_path: Path) -> None:
    file = expression_model(tmp_path / "e.onnx", {})
    with pytest.raises(ModelError, match=r"no e\.toml beside it") as caught:
        load_expression(file)
    assert "[input]" in str(caught.value)


def test_the_sidecar_that_the_error_shows_works(tmp_path: Path) -> None:
    file = expression_model(
        tmp_path / "e.onnx", {}, shape=("n", 1, 48, 48), brightness=(0, 0), bias=(0, 0)
    )
    file.with_suffix(".toml").write_text(f"\ufeff{SIDECAR_EXAMPLE}")  # as Windows writes it
    _, contract = load_expression(file)
    assert contract.model_id == "my-model"
    assert contract.input.std == (255.0,)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("output =", "outptu =", r"e.toml: outptu is not a key: did you mean output\?"),
        (
            "output =",
            "nms_iou =",
            "e.toml: nms_iou is not a key: there are model_id, ",
        ),
        ("width = 48", "", "e.toml: input.width is missing"),
        ("[input]", "[input", "e.toml: not a readable TOML file"),
    ],
)
def test_a_wrong_sidecar_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    file = expression_model(
        tmp_path / "e.onnx", {}, shape=("n", 1, 48, 48), brightness=(0, 0), bias=(0, 0)
    )
    file.with_suffix(".toml").write_text(SIDECAR_EXAMPLE.replace(before, after, 1))
    with pytest.raises(ModelError, match=message):
        load_expression(file)


def test_a_detector_without_contract_is_taken_for_a_yunet(tmp_path: Path) -> None:
    _, contract = load_face(face_model(tmp_path / "Face Finder_2.onnx"))
    assert contract.model_id == "face-finder_2"
    assert (contract.input.colour, contract.input.mean, contract.input.std) == ("bgr", (0,), (1,))
    assert (contract.score_threshold, contract.nms_iou) == (0.6, 0.45)


def test_a_detectors_contract_and_sidecar_are_read(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", face_metadata(nms_iou="0.3"), shape=(1, 1, "h", "w"))
    assert load_face(file)[1].nms_iou == 0.3
    bare = face_model(tmp_path / "g.onnx")
    bare.with_suffix(".toml").write_text('model_id = "mine"\nscore_threshold = 0.7\n')
    assert load_face(bare)[1].score_threshold == 0.7


def test_a_detector_whose_channels_differ_from_its_contract_is_refused(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", face_metadata())
    with pytest.raises(ModelError, match=r"its input is 1x3x\?x\?, but its contract says \?x1"):
        load_face(file)


@pytest.mark.parametrize("damage", [b"", b"not a model", "cut"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, damage: bytes | str) -> None:
    file = expression_model(tmp_path / "e.onnx")
    file.write_bytes(damage if isinstance(damage, bytes) else file.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"e\.onnx: not a usable ONNX model"):
        load_expression(file)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b" \n", "it is empty"),
        (b"<!DOCTYPE html><html></html>", "a web page .*: fetch the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:8f23", "git lfs pull"),
        (b"PK\x03\x04" + bytes(99), r"as PyTorch's \.pt .*: export that model to ONNX"),
        (b"\x80\x04\x95" + bytes(99), "a pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), r"Keras' \.h5"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(99), "TensorFlow Lite: export that model to ONNX"),
    ],
)
def test_a_file_of_another_kind_is_told_as_what_it_is(
    tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "e.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=rf"e\.onnx: not a usable ONNX model: .*{why}"):
        load_expression(file)


def changed(file: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(str(file))
    change(model)
    onnx.save(model, str(file))
    return file


def with_an_operation_of_its_own(model: onnx.ModelProto) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("mine", 1))
    model.graph.node[0].domain = "mine"


@pytest.mark.parametrize(
    ("change", "todo"),
    [
        (lambda model: setattr(model, "ir_version", 99), "install a newer one, or export"),
        (lambda model: setattr(model.opset_import[0], "version", 99), "install a newer one"),
        (lambda model: setattr(model.graph.node[0], "op_type", "Deform"), "operations of ONNX"),
        (with_an_operation_of_its_own, "without operations of its own"),
    ],
)
def test_what_this_onnxruntime_does_not_take_comes_with_what_helps(
    tmp_path: Path, change: Callable[[onnx.ModelProto], object], todo: str
) -> None:
    file = changed(expression_model(tmp_path / "e.onnx"), change)
    with pytest.raises(
        ModelError, match=rf"onnxruntime [\d.]+ says of its .*: [^:]*{todo}"
    ) as caught:
        load_expression(file)
    assert "/onnxruntime_src/" not in str(caught.value)


def test_weights_that_were_left_behind_are_told(tmp_path: Path) -> None:
    """As torch's exporter leaves them beside the file."""
    file, weights = expression_model(tmp_path / "e.onnx"), tmp_path / "e.onnx.data"
    onnx.save(
        onnx.load(str(file)),
        str(file),
        save_as_external_data=True,
        location=weights.name,
        size_threshold=0,
    )
    load_expression(file)
    weights.unlink()
    with pytest.raises(ModelError, match="its weights are in a file beside it: copy that too"):
        load_expression(file)


def test_a_sidecar_that_would_count_for_nothing_is_an_error(tmp_path: Path) -> None:
    file = expression_model(tmp_path / "e.onnx")
    file.with_suffix(".toml").write_text(SIDECAR_EXAMPLE)
    with pytest.raises(ModelError, match=r"e\.toml beside it would count for nothing: remove it"):
        load_expression(file)


def test_a_model_lies_in_a_folder_of_whatever_name(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"M\xfcller und S\xf6hne")
    folder.mkdir()
    assert load_expression(expression_model(folder / "e.onnx"))[1].model_id == "tiny-1"


def test_a_file_larger_than_any_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "e.onnx").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ModelError, match=r"2\.0 GiB are more than one ONNX file can hold"):
        load_expression(tmp_path / "e.onnx")


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx: no such model file"):
        open_classifier(str(tmp_path / "gone.onnx"), box_style="tight")


def test_a_setting_names_a_shipped_model_or_a_path_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shipped = open_classifier(box_style="tight").contract.model_id
    monkeypatch.chdir(tmp_path)
    Path("expression").mkdir()
    assert open_classifier("expression", box_style="tight").contract.model_id == shipped
    expression_model(tmp_path / "e.onnx")
    assert open_classifier("~/e.onnx", box_style="tight").contract.model_id == "tiny-1"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("ferplus-8", "ferplus-8 is not here yet: roommood models pull ferplus-8"),
        ("ferplus", "no such file, and no such model: give a path or one of .*ferplus-8"),
        (".", ": a folder: give the path of an ONNX file"),
        ("pipe", ": no file: give the path of an ONNX file"),
    ],
)
def test_what_a_setting_may_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, why: str
) -> None:
    monkeypatch.setenv("ROOMMOOD_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(RoommoodError, match=why):
        open_classifier(spec, box_style="tight")


def test_the_loaded_provider_is_known_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    file = expression_model(tmp_path / "e.onnx")
    assert OnnxModel(file, "cpu").provider == "CPUExecutionProvider"
    assert OnnxModel(file, "CPUExecutionProvider").provider == "CPUExecutionProvider"
    with pytest.raises(ConfigError, match=r"no provider 'abacus'; it has .*cpu"):
        OnnxModel(file, "abacus")


@pytest.mark.parametrize(
    ("spec", "provider", "options"),
    [
        ("cpu", "CPU", {}),
        ("cuda", "CUDA", {}),
        ("CUDA:1", "CUDA", {"device_id": "1"}),
        ("openvino", "OpenVINO", {"device_type": "CPU", "num_of_threads": "1"}),
        (
            "openvino:gpu",
            "OpenVINO",
            {"device_type": "GPU", "num_of_threads": "1"},
        ),
    ],
)
def test_a_provider_is_named_with_its_device(
    monkeypatch: pytest.MonkeyPatch, spec: str, provider: str, options: dict[str, str]
) -> None:
    pretend_available(monkeypatch)
    assert find_provider(spec) == Provider(f"{provider}ExecutionProvider", options)


@pytest.mark.parametrize("spec", ["openvino:abacus", "cuda:first", "cpu:0"])
def test_a_device_that_no_provider_knows_is_refused(
    monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    pretend_available(monkeypatch)
    with pytest.raises(ConfigError, match=f"no such device.*'{spec}'"):
        find_provider(spec)


def test_what_computes_over_the_network_is_no_provider() -> None:
    """It comes with onnxruntime, and what it does not compute falls to the processor unsaid."""
    assert "AzureExecutionProvider" in onnxruntime.get_available_providers()
    with pytest.raises(ConfigError, match="no provider 'azure'; it has cpu"):
        find_provider("azure")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_cannot_be_loaded_never_becomes_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime itself goes on with the processor, many times slower, and says nothing."""
    pytest.importorskip("onnxruntime", minversion="1.21", reason="the oldest that knows CUDA's pip")
    file = expression_model(tmp_path / "e.onnx")
    pretend_available(monkeypatch)
    with pytest.raises(ConfigError, match=r"cuda was asked for .* computed by CPUExecution"):
        OnnxModel(file, "cuda")


def pretend_available(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{name}ExecutionProvider" for name in ("CUDA", "OpenVINO", "CPU")]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: names)


def test_sessions_use_the_callers_thread_and_send_nothing_home(tmp_path: Path) -> None:
    options = OnnxModel(expression_model(tmp_path / "e.onnx"))._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_what_must_be_set_before_an_import_is_set_because_only_one_module_imports() -> None:
    sources = Path(roommood.inference_worker.__file__).parent.rglob("*.py")
    importing = [
        source.name
        for source in sources
        for line in source.read_text().splitlines()
        if line.strip().startswith(("import onnxruntime", "from onnxruntime"))
    ]
    assert importing == ["onnx_model.py"]
