"""What leaves the machine: masked, no larger than allowed, or exactly what the camera gave."""

import numpy as np
import pytest

from roommood.camera_node.encoder import Encoder
from roommood.camera_node.masks import parse_masks
from roommood.camera_node.sources.picture import Picture
from roommood.camera_node.sources.pictures import read_pixels
from roommood.camera_node.sources.simulated import packaged_photographs
from roommood.inference_worker.vision.decode import decode as worker_decode
from roommood.shared.errors import ConfigError, PictureDamaged
from roommood.shared.opencv import Pixels, cv2, decode
from roommood.shared.protocol.jpeg import read_header
from roommood.shared.protocol.limits import MAX_JPEG_BYTES, MAX_PICTURE_PIXELS

LEFT_HALF = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]


def photograph() -> Pixels:
    return read_pixels(packaged_photographs()[0])


def jpeg_of(pixels: Pixels, quality: int = 90) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def size_of(jpeg: bytes) -> tuple[int, int]:
    header = read_header(jpeg)
    return header.width, header.height


def test_a_jpeg_that_needs_nothing_passes_byte_for_byte() -> None:
    jpeg = jpeg_of(photograph())
    encoder = Encoder(quality=10, max_width=512, max_height=512)
    encoder.scale = 0.5
    encoded = encoder.encode(Picture.of_jpeg(jpeg, 0.0))
    assert encoded.jpeg is jpeg
    assert (encoded.width, encoded.height) == (512, 512)


def test_pixels_become_a_jpeg_of_the_same_size_and_nearly_the_same_look() -> None:
    pixels = photograph()
    encoded = Encoder(quality=90).encode(Picture.of_pixels(pixels, 0.0))
    assert size_of(encoded.jpeg) == (encoded.width, encoded.height) == (512, 512)
    difference = np.abs(decode(encoded.jpeg).astype(int) - pixels.astype(int))
    assert difference.mean() < 4


@pytest.mark.parametrize("as_jpeg", [True, False])
def test_masked_pixels_are_gone_from_the_bytes(as_jpeg: bool) -> None:
    pixels = photograph()
    picture = Picture.of_jpeg(jpeg_of(pixels), 0.0) if as_jpeg else Picture.of_pixels(pixels, 0.0)
    encoded = Encoder(quality=95, masks=parse_masks([LEFT_HALF])).encode(picture)
    seen = decode(encoded.jpeg).astype(int)
    assert np.abs(seen[:, :240] - 128).max() <= 2
    assert np.abs(seen[:, 272:] - pixels[:, 272:]).mean() < 5


def test_luma_goes_out_grey_masked_and_shrunk() -> None:
    luma = cv2.cvtColor(photograph(), cv2.COLOR_BGR2GRAY).astype(np.uint8)
    encoder = Encoder(quality=95, max_width=256, max_height=256, masks=parse_masks([LEFT_HALF]))
    encoded = encoder.encode(Picture.of_pixels(luma, 0.0))
    seen = decode(encoded.jpeg, cv2.IMREAD_UNCHANGED).astype(int)
    assert seen.shape == (256, 256)
    assert np.abs(seen[:, :120] - 128).max() <= 2
    smaller = cv2.resize(luma, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(seen[:, 136:] - smaller[:, 136:]).mean() < 5


@pytest.mark.parametrize("as_jpeg", [True, False])
def test_a_picture_is_shrunk_to_fit_in_its_own_proportions(as_jpeg: bool) -> None:
    pixels = photograph()[:256]
    picture = Picture.of_jpeg(jpeg_of(pixels), 0.0) if as_jpeg else Picture.of_pixels(pixels, 0.0)
    encoded = Encoder(max_width=300, max_height=100).encode(picture)
    assert size_of(encoded.jpeg) == (encoded.width, encoded.height) == (200, 100)


def test_a_picture_is_never_enlarged() -> None:
    encoded = Encoder(max_width=4000, max_height=4000).encode(Picture.of_pixels(photograph(), 0.0))
    assert (encoded.width, encoded.height) == (512, 512)


def test_quality_and_scale_change_from_one_picture_to_the_next() -> None:
    encoder, picture = Encoder(quality=90), Picture.of_pixels(photograph(), 0.0)
    full = encoder.encode(picture)
    encoder.quality = 40
    coarse = encoder.encode(picture)
    encoder.scale = 0.5
    small = encoder.encode(picture)
    assert len(full.jpeg) > 1.5 * len(coarse.jpeg) > 2 * len(small.jpeg)
    assert (small.width, small.height) == (256, 256)


def test_pixels_over_the_limit_of_the_wire_are_shrunk_to_it() -> None:
    huge = np.zeros((5000, 4000, 3), np.uint8)
    encoded = Encoder().encode(Picture.of_pixels(huge, 0.0))
    assert encoded.width * encoded.height <= MAX_PICTURE_PIXELS
    read_header(encoded.jpeg)


def test_bytes_over_the_limit_of_the_wire_are_compressed_harder() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (2160, 3840, 3), dtype=np.uint8)
    assert len(jpeg_of(noise, 98)) > MAX_JPEG_BYTES
    encoded = Encoder(quality=98).encode(Picture.of_pixels(noise, 0.0))
    assert len(encoded.jpeg) <= MAX_JPEG_BYTES


def test_a_jpeg_that_does_not_decode_is_damaged() -> None:
    jpeg = jpeg_of(photograph())
    broken = jpeg[: jpeg.index(b"\xff\xda")] + b"\xff\xda\x00\x0c" + bytes(10) + b"\xff\xd9"
    encoder = Encoder(max_width=64, masks=parse_masks([LEFT_HALF]))
    with pytest.raises(PictureDamaged):
        encoder.encode(Picture.of_jpeg(broken, 0.0))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((480, 640, 2), np.uint8),
        np.zeros((480, 640, 4), np.uint8),
        np.zeros((480, 640, 3), np.float32),
        np.zeros((8, 640, 3), np.uint8),
    ],
)
def test_pixels_of_another_shape_are_refused(pixels: Pixels) -> None:
    with pytest.raises(PictureDamaged):
        Encoder().encode(Picture.of_pixels(pixels, 0.0))


def test_the_time_it_takes_is_averaged() -> None:
    ticks = iter([0.0, 0.010, 1.0, 1.026])
    encoder = Encoder(clock=lambda: next(ticks))
    picture = Picture.of_pixels(photograph(), 0.0)
    encoder.encode(picture)
    assert encoder.encode_ms == pytest.approx(10)
    encoder.encode(picture)
    assert encoder.encode_ms == pytest.approx(11)


@pytest.mark.parametrize("options", [{"quality": 0}, {"quality": 101}, {"max_width": 4}])
def test_settings_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Encoder(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0, 1.01, -1])
def test_a_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(ConfigError):
        Encoder().scale = scale


@pytest.mark.parametrize("as_jpeg", [True, False])
def test_where_luma_suffices_no_colour_is_kept(as_jpeg: bool) -> None:
    pixels = photograph()
    encoder = Encoder(quality=80, max_width=256)
    picture = Picture.of_jpeg(jpeg_of(pixels), 0.0) if as_jpeg else Picture.of_pixels(pixels, 0.0)
    coloured = encoder.encode(picture)
    encoder.grey = True
    grey = encoder.encode(picture)
    assert read_header(grey.jpeg).components == 1
    assert len(grey.jpeg) < len(coloured.jpeg)
    luma = [worker_decode(encoded.jpeg, as_gray=True).astype(int) for encoded in (grey, coloured)]
    assert np.abs(luma[0] - luma[1]).mean() < 2


def test_a_jpeg_that_passes_keeps_its_colour() -> None:
    jpeg = jpeg_of(photograph())
    encoder = Encoder()
    encoder.grey = True
    assert encoder.encode(Picture.of_jpeg(jpeg, 0.0)).jpeg is jpeg
