import pytest

from roommood.deploy.doctor.findings import Level
from roommood.deploy.doctor.runtimes import opencv_findings, runtime_findings


def test_the_installed_onnxruntime_is_named_with_its_providers() -> None:
    (finding,) = runtime_findings()
    assert finding.level is Level.OK
    assert finding.found.startswith("onnxruntime ")
    assert finding.found.endswith("for --provider cpu")


def test_two_runtimes_in_one_folder_are_a_failure_that_says_what_to_do() -> None:
    installed = {"onnxruntime": "1.24.1", "onnxruntime-openvino": "1.24.1"}
    (finding,) = runtime_findings(installed.get)
    assert finding.level is Level.FAIL
    assert "onnxruntime 1.24.1 and onnxruntime-openvino 1.24.1" in finding.found
    assert finding.todo.startswith("pip uninstall onnxruntime onnxruntime-openvino")


def test_without_any_there_is_nothing_to_say() -> None:
    assert list(runtime_findings(lambda _name: None)) == []


def test_another_opencv_over_ours_is_told() -> None:
    installed = {"opencv-python-headless": "4.14.0.94", "opencv-contrib-python": "5.0.0.93"}
    (finding,) = opencv_findings(installed.get)
    assert finding.level is Level.WARN
    assert "opencv-python-headless 4.14.0.94 and opencv-contrib-python 5.0.0.93" in finding.found
    assert "environment of its own" in finding.todo


@pytest.mark.parametrize("name", ["opencv-python-headless", "opencv-python"])
def test_a_single_opencv_is_well(name: str) -> None:
    assert list(opencv_findings({name: "4.14.0.94"}.get)) == []
