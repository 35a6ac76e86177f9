"""Made collections and a stand-in detector, for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_pictures(folder: Path, names: Sequence[str], seed: int = 0, side: int = 48) -> None:
    """Noise pictures of these names, each of other content."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        picture = rng.integers(0, 256, (side, side), dtype=np.uint8)
        assert cv2.imwrite(str(folder / name), picture)


def collected_names(session: str, count: int, first: int = 0) -> list[str]:
    return [f"{session}-{number:05d}.jpg" for number in range(first, first + count)]
