"""How often the expression changes on a still face: in consecutive frames, and in the live hash.

    python -m benchmarks.flicker --data DIR [--model FILE] [--json FILE]

DIR holds `FER2013Valid` in the layout of FER+. Each of some faces stands still in a picture
before a camera at ten frames a second: every frame has noise of its own, is compressed as JPEG
and decoded, and its box is off by up to two pixels, in place and in size. The worker's own code
cuts and classifies; the results go through the real store into a real Redis, a room for each
face, with the time made up. A change is counted from one frame to the next.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.inference_worker.evaluation.ferplus import read_split
from roommood.inference_worker.vision.emotions import (
    Expression,
    ExpressionClassifier,
    open_classifier,
)
from roommood.inference_worker.vision.faces import Detection
from roommood.shared import clock
from roommood.shared.protocol.emotions import EXPRESSIONS, size_class
from roommood.shared.protocol.messages import Face, Result
from tests.redis_server import RedisServer

Picture = NDArray[np.uint8]

GOAL: Final = 0.02
INTERVAL_MS: Final = 100
MARGIN_PX: Final = 16
JITTER_PX: Final = 2.0
NOISE: Final = 6.0
JPEG_QUALITY: Final = 80
FACE_SIDES_PX: Final = (96, 48, 24)


@dataclass(frozen=True, slots=True)
class Row:
    """Changes of the label, 0..1 of the pairs of consecutive frames that have one."""

    face_px: int
    raw: float
    live: float
    held: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds FER2013Valid")
    parser.add_argument("--model", default="", help="an ONNX file; the shipped one by default")
    parser.add_argument("--faces", type=int, default=40)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    classifier = open_classifier(options.model, box_style="haar")
    faces = some_faces(options.data / "FER2013Valid", options.faces)
    print(f"Changes of the label, % of consecutive frames: {len(faces)} still faces, "
          f"{options.frames} frames each; goal <= {GOAL:.0%} in the live hash\n")  # fmt: skip
    print(f"{'face, px':>8}{'raw':>8}{'live hash':>11}")
    rows = []
    for row in measured(classifier, faces, options.frames):
        rows.append(row)
        print(f"{row.face_px:8}{row.raw * 100:8.1f}{row.live * 100:11.1f}  "
              f"{'held' if row.held else 'MISSED'}", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def some_faces(split: Path, count: int) -> list[Picture]:
    """Faces drawn by chance, clear and ambiguous ones alike."""
    pictures = read_split(split).pictures
    return list(pictures[np.random.default_rng(1).permutation(len(pictures))[:count]])


def measured(
    classifier: ExpressionClassifier, faces: Sequence[Picture], frames: int
) -> Iterator[Row]:
    """One row for each size of face."""
    for side_px in FACE_SIDES_PX:
        rng = np.random.default_rng(side_px)
        seen = [shown(classifier, still(face, side_px), frames, rng) for face in faces]
        raw = [[_label(one) for one in expressions] for expressions in seen]
        live = in_the_live_hash(seen, side_px)
        yield Row(side_px, _changes(raw), _changes(live), _changes(live) <= GOAL)


def still(face: Picture, side_px: int) -> Picture:
    """The face at this size in a picture whose margin repeats its edge, (H, W, 3) BGR."""
    how = cv2.INTER_AREA if side_px < face.shape[0] else cv2.INTER_CUBIC
    scaled = cv2.resize(face, (side_px, side_px), interpolation=how)
    framed = cv2.copyMakeBorder(scaled, *(MARGIN_PX,) * 4, cv2.BORDER_REPLICATE)
    return np.repeat(framed[:, :, None], 3, axis=2)


def shown(
    classifier: ExpressionClassifier, picture: Picture, frames: int, rng: np.random.Generator
) -> list[Expression]:
    """What each of so many frames of this picture shows."""
    return [
        classifier.classify(_filmed(picture, rng), [_found(picture, rng)])[0]
        for _ in range(frames)
    ]  # fmt: skip


def _filmed(picture: Picture, rng: np.random.Generator) -> Picture:
    noisy = picture + rng.normal(0, NOISE, picture.shape)
    _, jpeg = cv2.imencode(
        ".jpg",
        noisy.round().clip(0, 255).astype(np.uint8),
        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    )
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def _found(picture: Picture, rng: np.random.Generator) -> Detection:
    side_px = picture.shape[0] - 2 * MARGIN_PX
    dx, dy, width, height = rng.uniform(-JITTER_PX, JITTER_PX, 4)
    return Detection(MARGIN_PX + dx, MARGIN_PX + dy, side_px + width, side_px + height, 1.0)


def in_the_live_hash(seen: Sequence[Sequence[Expression]], side_px: int) -> list[list[str]]:
    """The dominant expression of each room after each of its frames, "" where it has none."""
    start_ms = clock.wall_ms()
    with RedisServer() as server, server.client() as client:
        store = Store(server.url)
        dominants: list[list[str]] = [[] for _ in seen]
        for seq, frame in enumerate(zip(*seen, strict=True)):
            now_ms = start_ms + seq * INTERVAL_MS
            store.commit([_delivery(f"room-{i}", seq, one, side_px, now_ms)
                          for i, one in enumerate(frame)], now_ms)  # fmt: skip
            for i, room in enumerate(dominants):
                room.append(client.hget(redis_keys.live(f"room-{i}"), "dominant") or "")
        store.close()
    return dominants


def _delivery(room: str, seq: int, one: Expression, side_px: int, now_ms: float) -> Delivery:
    box = (MARGIN_PX, MARGIN_PX, side_px, side_px)
    face = Face(box, 1.0, size_class(side_px, side_px), one.probabilities, one.sure)
    result = Result("camera", room, "boot", seq, INTERVAL_MS * 1000, "model", (face,))
    return Delivery((room, seq), now_ms, result)


def _label(one: Expression) -> str:
    return EXPRESSIONS[one.probabilities.index(max(one.probabilities))]


def _changes(labels: Sequence[Sequence[str]]) -> float:
    pairs = [pair for room in labels for pair in pairwise(room) if all(pair)]
    return sum(before != after for before, after in pairs) / len(pairs)


if __name__ == "__main__":
    main()
