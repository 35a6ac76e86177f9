"""Making training faces look like faces that a room's camera delivers.

Every function takes and returns 48x48 grey pictures, uint8, and draws from the
generator that it is given, so a seed fixes a run.  `augment` and `warp` also take
larger squares, whose middle 48x48 is the face: then what moves in is real.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from roommood.inference_worker.evaluation.ferplus import SIDE_PX
from roommood.training.expression.ferplus import Pictures

_CHANCES = (
    "turn",
    "light",
    "dark",
    "backlight",
    "shrink",
    "blur",
    "noise",
    "jpeg",
    "lower_mask",
    "erase",
)
_BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)
SHRINKERS = (cv2.INTER_AREA, cv2.INTER_LINEAR)
GROWERS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True)
class Policy:
    """How often (probabilities) and how far each distortion goes.

    `crop_px` and `shift_px` are pixels of 48: a crop `crop_px` tighter loses that
    much on each side; crops are `tighter_px` tighter on average, since detectors' boxes
    are.  `smallest_px` is the side to which faces are scaled down.
    """

    rotate_deg: float = 15.0
    crop_px: float = 5.0
    tighter_px: float = 1.0
    shift_px: float = 3.0
    squeeze: float = 0.08
    flip: float = 0.5
    turn: float = 0.3
    light: float = 0.6
    dark: float = 0.06
    backlight: float = 0.06
    shrink: float = 0.3
    smallest_px: int = 14
    blur: float = 0.15
    noise: float = 0.15
    jpeg: float = 0.2
    lower_mask: float = 0.02
    erase: float = 0.25

    def scaled(self, strength: float) -> "Policy":
        """The same distances, every distortion but the flip `strength` times as often."""
        return replace(self, **{name: getattr(self, name) * strength for name in _CHANCES})


def augment(picture: Pictures, policy: Policy, rng: Generator) -> Pictures:
    """One distorted copy of a face, in the order in which a camera would distort it."""
    picture = warp(picture, policy, rng)
    for chance, distort in (
        (policy.turn, turn_sideways),
        (policy.light, relight),
        (policy.lower_mask, mask_lower_face),
        (policy.backlight, light_from_behind),
        (policy.blur, blur),
        (policy.dark, darken),
        (policy.noise, add_noise),
        (policy.jpeg, compress),
        (policy.erase, erase),
    ):
        if rng.random() < chance:
            picture = distort(picture, rng)
    if rng.random() < policy.shrink:
        picture = shrink(picture, int(rng.integers(policy.smallest_px, SIDE_PX)), rng)
    return picture


def warp(picture: Pictures, policy: Policy, rng: Generator) -> Pictures:
    """Flip, rotation, crop jitter, shift and uneven scale in one resampling."""
    spread = np.clip(rng.normal(0, policy.crop_px / 2), -policy.crop_px, policy.crop_px)
    margin = policy.tighter_px + spread
    zoom = SIDE_PX / (SIDE_PX - 2 * margin)
    angle = np.clip(rng.normal(0, policy.rotate_deg / 2), -policy.rotate_deg, policy.rotate_deg)
    centre = (SIDE_PX - 1) / 2
    matrix = np.asarray(
        cv2.getRotationMatrix2D((centre, centre), float(angle), float(zoom)), dtype=np.float64
    )
    matrix[0] *= 1 + rng.uniform(-policy.squeeze, policy.squeeze)
    matrix[0, 2] += centre - matrix[0] @ (centre, centre, 1)
    if rng.random() < policy.flip:
        matrix[0] *= -1
        matrix[0, 2] += SIDE_PX - 1
    matrix[:, 2] += rng.uniform(-policy.shift_px, policy.shift_px, 2)
    edge = (picture.shape[0] - SIDE_PX) // 2
    matrix[:, 2] -= matrix[:, :2] @ (edge, edge)
    border = _BORDERS[int(rng.integers(len(_BORDERS)))]
    grey = int(rng.integers(256))
    size = (SIDE_PX, SIDE_PX)
    return _uint8(cv2.warpAffine(picture, matrix, size, borderMode=border, borderValue=grey))


def turn_sideways(picture: Pictures, rng: Generator) -> Pictures:
    """The face as a flat sheet, turned a little to a side, up or down."""
    half = SIDE_PX / 2
    to_middle = np.array([[1, 0, half], [0, 1, half], [0, 0, 1]])
    lean = np.eye(3)
    lean[2, :2] = rng.uniform(-0.007, 0.007, 2)
    matrix = to_middle @ lean @ np.linalg.inv(to_middle)
    size = (SIDE_PX, SIDE_PX)
    return _uint8(cv2.warpPerspective(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE))


def relight(picture: Pictures, rng: Generator) -> Pictures:
    """Another brightness, contrast and gamma; sometimes light from one side."""
    level = picture.astype(np.float32) / 255
    level = level ** np.exp(rng.normal(0, 0.25))
    level = (level - 0.5) * np.exp(rng.normal(0, 0.25)) + 0.5 + rng.normal(0, 0.1)
    if rng.random() < 0.3:
        level = level + _side_light(rng)
    return _uint8(np.clip(level * 255, 0, 255))


def shrink(picture: Pictures, side_px: int, rng: Generator) -> Pictures:
    """Down to `side_px` and back up: what is left of a face that was small in the frame."""
    down = SHRINKERS[int(rng.integers(len(SHRINKERS)))]
    grow = GROWERS[int(rng.integers(len(GROWERS)))]
    small = cv2.resize(picture, (side_px, side_px), interpolation=down)
    if rng.random() < 0.3:
        small = compress(_uint8(small), rng)
    return _uint8(cv2.resize(small, (SIDE_PX, SIDE_PX), interpolation=grow))


def blur(picture: Pictures, rng: Generator) -> Pictures:
    """Out of focus, or smeared along a line by movement; one in three past reading."""
    strong = rng.random() < 0.33
    if rng.random() < 0.5:
        sigma = rng.uniform(1.4, 5) if strong else rng.uniform(0.4, 1.4)
        return _uint8(cv2.GaussianBlur(picture, (0, 0), sigma))
    length = int(rng.integers(6, 18) if strong else rng.integers(2, 6))
    kernel = np.full((1, length), 1 / length, dtype=np.float32)
    return _uint8(cv2.filter2D(picture, -1, kernel if rng.random() < 0.5 else kernel.T))


def light_from_behind(picture: Pictures, rng: Generator) -> Pictures:
    """A dark, flat face before a window: all around an oval is bright, and it spills over."""
    behind = np.zeros(picture.shape, dtype=np.float32)
    half = rng.uniform((14, 19), (24, 30))
    middle = SIDE_PX / 2 + rng.uniform(-3, 3, 2)
    outline = ((float(middle[0]), float(middle[1])), (2 * float(half[0]), 2 * float(half[1])), 0.0)
    cv2.ellipse(behind, outline, 1.0, -1)
    inside = cv2.GaussianBlur(behind, (0, 0), rng.uniform(0.7, 4))
    face = picture * rng.uniform(0.12, 0.6) + rng.uniform(0, 60)
    lit = face * inside + rng.uniform(170, 255) * (1 - inside)
    return _uint8(np.clip(lit, 0, 255))


def darken(picture: Pictures, rng: Generator) -> Pictures:
    """So little light that a few grey levels are left between which the sensor's grain lies."""
    return add_noise(_uint8(picture * rng.uniform(0.06, 0.35)), rng)


def add_noise(picture: Pictures, rng: Generator) -> Pictures:
    """The grain of a sensor in poor light."""
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * rng.uniform(2, 14)
    return _uint8(np.clip(picture + grain, 0, 255))


def compress(picture: Pictures, rng: Generator) -> Pictures:
    """Through JPEG at a quality of 30 to 90."""
    quality = int(rng.integers(30, 91))
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _uint8(np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)))


def mask_lower_face(picture: Pictures, rng: Generator) -> Pictures:
    """A plain surgical mask: a light trapezium from the bridge of the nose down."""
    masked = picture.copy()
    top = rng.uniform(0.48, 0.6) * SIDE_PX
    outline = np.array(
        [(5, top), (SIDE_PX / 2, top - 4), (43, top), (38, 46), (10, 46)], dtype=np.int32
    )
    cv2.fillPoly(masked, [outline], int(rng.integers(60, 255)))
    return masked


def erase(picture: Pictures, rng: Generator) -> Pictures:
    """A grey box over a part: a hand, hair, another head."""
    height, width = rng.integers(6, 18, 2)
    top, left = rng.integers(0, SIDE_PX - height), rng.integers(0, SIDE_PX - width)
    erased = picture.copy()
    erased[top : top + height, left : left + width] = rng.integers(256)
    return erased


def _side_light(rng: Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    slope = np.linspace(-0.5, 0.5, SIDE_PX, dtype=np.float32) * np.float32(rng.uniform(-0.6, 0.6))
    return slope[None, :] if rng.random() < 0.7 else slope[:, None]


def _uint8(picture: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Pictures:
    return picture.astype(np.uint8, copy=False)
