"""A tiny folder in the FER+ layout, with made pictures, for tests."""

from pathlib import Path

import numpy as np


def votes(**counts: int) -> list[int]:
    """Ten votes by name; `unknown` and `none` are the last two columns."""
    from roommood.shared.protocol.emotions import EXPRESSIONS

    return [counts.get(name, 0) for name in (*EXPRESSIONS, "unknown", "none")]


def write_split(folder: Path, rows: list[list[int]], seed: int = 0) -> Path:
    """Noise pictures and label.csv with these votes; gives the folder back."""
    import cv2

    folder.mkdir(parents=True)
    pictures = np.random.default_rng(seed).integers(0, 256, (len(rows), 48, 48), dtype=np.uint8)
    lines = []
    for number, (picture, row) in enumerate(zip(pictures, rows, strict=True)):
        name = f"fer{number:07d}.png"
        cv2.imwrite(str(folder / name), picture)
        lines.append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, row))}\n')
    (folder / "label.csv").write_text("".join(lines))
    return folder


def write_data(folder: Path, faces: int = 40) -> Path:
    """Both splits, with happiness and neutral in turn."""
    rows = [votes(happiness=10) if n % 2 else votes(neutral=8, sadness=2) for n in range(faces)]
    write_split(folder / "FER2013Train", rows)
    write_split(folder / "FER2013Valid", rows, seed=1)
    return folder
