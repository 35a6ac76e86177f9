"""What a worker's models read is what its credit asks for: luma, or colour."""

from pathlib import Path

from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import Site
from tests.inference_worker.tiny_models import face_model


def asks_for_luma(site: Site, *options: str) -> bool:
    at = site.address()
    site.worker(at, site.address(), *options)
    with FakeCamera(at) as camera:
        camera.say_hello()
        return camera.credit().luma


def test_the_shipped_models_ask_for_luma_and_a_detector_that_reads_colour_asks_for_that(
    site: Site, tmp_path: Path
) -> None:
    coloured = face_model(tmp_path / "yunet.onnx")
    assert asks_for_luma(site, "--detector", "")
    assert not asks_for_luma(site, "--detector", str(coloured))
