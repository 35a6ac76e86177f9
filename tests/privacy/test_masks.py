"""What is masked is not in the bytes that leave the Pi, whatever way they take."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.protocol.jpeg import read_header
from tests.end_to_end.site import Site, until
from tests.inference_worker.pictures import jpeg
from tests.privacy.recorder import Recorder
from tests.privacy.traces import Tracer, recognisable

GREY = 128
# What compression leaves of the sharp edge lies within one block of 16 pixels.
EDGE_PX = 16
MASKED = "masks = [[[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]]"


def photograph() -> bytes:
    """A JPEG with a thumbnail of itself in its EXIF, as cameras write them."""
    picture = Image.fromarray(np.ascontiguousarray(recognisable()[:, :, ::-1]))
    small = io.BytesIO()
    picture.resize((72, 48)).save(small, "JPEG")
    exif = Image.Exif()
    exif[0x010E] = "kitchen of the Smiths"
    ifd = exif.get_ifd(0x8769)
    ifd[0x927C] = small.getvalue()
    whole = io.BytesIO()
    picture.save(whole, "JPEG", quality=92, exif=exif)
    return whole.getvalue()


def decoded(data: bytes) -> Picture:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.astype(np.uint8)


def source(kind: str, folder: Path) -> str:
    """A source that delivers JPEGs, which pass untouched without a mask, or one of pixels."""
    if kind == "pixels":
        (folder / "one.png").write_bytes(cv2.imencode(".png", recognisable())[1].tobytes())
    else:
        (folder / "one.jpg").write_bytes(photograph())
    return str(folder)


def recorded(site: Site, tmp_path: Path, kind: str, settings: str) -> Recorder:
    """What a camera with these settings sends to a real worker."""
    folder, config = tmp_path / "source", tmp_path / "camera.toml"
    folder.mkdir()
    config.write_text(f"[camera]\n{settings}\n")
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    site.worker(frames, reports)
    with Recorder(frames) as recorder:
        options = ("--rate-hz", "20", "--config", str(config))
        camera = site.camera("sofa", "den", source(kind, folder), recorder.address, *options)
        until(lambda: site.frames("den", "sofa") > 4, "frames are counted")
        camera.stop()
    return recorder


KINDS = pytest.mark.parametrize("kind", ["jpegs", "pixels"])


def luma(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.int16)


@KINDS
def test_a_masked_half_is_grey_in_every_frame_on_the_wire(
    site: Site, tmp_path: Path, kind: str
) -> None:
    recorder = recorded(site, tmp_path, kind, MASKED)
    assert len(recorder.jpegs) > 4
    for sent in recorder.jpegs:
        picture = decoded(sent)
        middle = picture.shape[1] // 2
        hidden = picture[:, middle + EDGE_PX :].astype(int)
        assert np.abs(hidden - GREY).max() <= 4
        # By their luma: of pixels no colour goes out where no model makes anything of it.
        seen, shown = (luma(pixels[:, : middle - EDGE_PX]) for pixels in (picture, recognisable()))
        assert np.abs(seen - shown).mean() < 12
        assert b"Exif" not in sent
        assert read_header(sent).width == recognisable().shape[1]
    assert b"Smiths" not in recorder.bytes_sent
    if kind == "jpegs":
        traces = Tracer(photograph()).find_in(recorder.bytes_sent, "wire")
        assert [finding for finding in traces if "start" not in finding] == []


@KINDS
def test_without_a_mask_the_same_look_finds_the_picture(
    site: Site, tmp_path: Path, kind: str
) -> None:
    """The control, and what passing through means: the bytes of the source, EXIF and all."""
    recorder = recorded(site, tmp_path, kind, "")
    picture = decoded(recorder.jpegs[0])
    middle = picture.shape[1] // 2
    assert np.abs(picture[:, middle + EDGE_PX :].astype(int) - GREY).max() > 60
    if kind == "jpegs":
        assert recorder.jpegs[0] == photograph()
        assert b"Smiths" in recorder.bytes_sent
        assert len(Tracer(photograph()).find_in(recorder.bytes_sent, "wire")) > 1


def test_a_recorder_reads_what_was_sent(site: Site) -> None:
    from tests.end_to_end.fake_camera import FakeCamera

    frames = site.address()
    site.worker(frames, site.address())
    with Recorder(frames) as recorder, FakeCamera(recorder.address) as camera:
        camera.wait_for_credit()
        camera.send(jpeg(recognisable()))
        until(lambda: recorder.jpegs, "it passes")
        assert recorder.jpegs == [jpeg(recognisable())]
