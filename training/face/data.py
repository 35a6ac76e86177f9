"""What the face detector is trained and judged on: boxes, landmarks, splits and the files that
hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]

HELD_OUT_FRACTION = 0.2
HELD_OUT_SEED = 20261122
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True)
class Faces:
    """The faces of one picture, in its pixels.

    boxes      (n, 4) left, top, right, bottom
    landmarks  (n, 5, 2) x, y of right eye, left eye, nose tip, right and left mouth corner (the
               person's own right), NaN where unknown
    scores     (n,) how sure the labeller is, 0..1
    """

    boxes: Floats
    landmarks: Floats
    scores: Floats

    @classmethod
    def none(cls) -> Faces:
        """A picture without faces."""
        return cls(
            np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def where(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> Faces:
        """The faces that a mask or a list of indices picks."""
        return Faces(self.boxes[keep], self.landmarks[keep], self.scores[keep])

    def joined(self, other: Faces) -> Faces:
        """These faces, then the other's."""
        return Faces(
            np.concatenate([self.boxes, other.boxes]),
            np.concatenate([self.landmarks, other.landmarks]),
            np.concatenate([self.scores, other.scores]),
        )


def pictures(folder: Path) -> list[Path]:
    """All pictures below a folder, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)


@dataclass(frozen=True)
class Split:
    """A folder's pictures, divided once and for all."""

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]


def split(
    paths: Sequence[Path], fraction: float = HELD_OUT_FRACTION, seed: int = HELD_OUT_SEED
) -> Split:
    """Keep a fixed fraction out of training, drawn by name, so that the same pictures fall out on
    every machine."""
    ordered = sorted(paths, key=lambda path: path.name)
    drawn = np.random.default_rng(seed).permutation(len(ordered))
    held = set(drawn[: round(len(ordered) * fraction)].tolist())
    return Split(
        tuple(path for i, path in enumerate(ordered) if i not in held),
        tuple(path for i, path in enumerate(ordered) if i in held),
    )


def clip(faces: Faces, picture: Picture) -> Faces:
    """Boxes cut off at the picture's edges, as annotators draw them."""
    height, width = picture.shape[:2]
    boxes = np.clip(faces.boxes, 0, np.array([width, height, width, height])).astype(np.float32)
    return Faces(boxes, faces.landmarks, faces.scores)


def save_faces(path: Path, labels: dict[str, Faces]) -> None:
    """Write labels by picture name into one .npz file."""
    names = sorted(labels)
    joined = Faces.none()
    for name in names:
        joined = joined.joined(labels[name])
    np.savez_compressed(
        path,
        names=np.array(names),
        counts=np.array([len(labels[name]) for name in names]),
        boxes=joined.boxes,
        landmarks=joined.landmarks,
        scores=joined.scores,
    )


def load_faces(path: Path) -> dict[str, Faces]:
    """Read what save_faces wrote."""
    with np.load(path) as file:
        everything = Faces(file["boxes"], file["landmarks"], file["scores"])
        return dict(zip(file["names"].tolist(), _parts(everything, file["counts"]), strict=True))


def _parts(faces: Faces, counts: NDArray[np.int64]) -> Iterator[Faces]:
    end = 0
    for count in counts.tolist():
        start, end = end, end + count
        yield faces.where(np.arange(start, end))
