from roommood.deploy.doctor.findings import Level
from roommood.deploy.doctor.runtimes import runtime_findings


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
