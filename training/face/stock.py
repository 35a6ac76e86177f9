"""Loading the photographs into memory, and rendering crops from them to disk, shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roommood.inference_worker.evaluation.voc import read_annotation
from roommood.training.face.data import Faces, Floats, Picture, clip, load_faces
from roommood.training.face.light import grey
from roommood.training.face.mine import hardness, traps
from roommood.training.face.paste import CROP, IGNORE_SCORE
from roommood.training.face.render import LABEL_WIDTH, MAX_FACES, Stock, render, weigh
from roommood.training.face.review import CERTAIN
from roommood.training.face.sources import (
    PEOPLE_AMONG_NO_FACES,
    SURE_SCORE,
    WALLS_PREFIX,
    read_picture,
    source,
    training_pictures,
)
from roommood.training.face.teacher import Detector
from roommood.training.face.warp import Photo

SINGLE_SCORE = 0.6
GROUPS = ("portraits", "single-faces", "ferplus")
GROUP_WEIGHTS = (0.6, 0.3, 0.1)
PERSON_MARGIN = 0.15


def load_stock(
    root: Path,
    labels: Path,
    progress: Callable[[str], None],
    earlier: Detector | None = None,
    teacher: Detector | None = None,
) -> Stock:
    """Read every picture that may be trained on, as grey, with its labels (written by `label`).

    With an earlier detector, what it falls for on them, and the faces that it misses, are shown
    more often; with a teacher, it reviews every crop.
    """
    scenes, empties = load_photographs(root, labels, progress)
    groups, weights = [], []
    for name, weight in zip(GROUPS, GROUP_WEIGHTS, strict=True):
        group = tuple(filter(_one_sure_face, _photos(root, labels, name, progress)))
        if group:
            groups.append(group)
            weights.append(weight)
    shares = tuple(weight / sum(weights) for weight in weights)
    rooms = tuple(_walls(root, labels, progress))
    return Stock(
        scenes=tuple(scenes),
        scene_heads=weigh(tuple(scenes), [hardness(earlier, p) for p in scenes] if earlier else ()),
        singles=tuple(groups),
        single_heads=tuple(weigh(group) for group in groups),
        single_shares=shares,
        empties=tuple(empties),
        traps=traps(earlier, [*scenes, *empties, *rooms]) if earlier else (),
        rooms=rooms,
        teacher=teacher,
    )


def load_photographs(
    root: Path, labels: Path, progress: Callable[[str], None]
) -> tuple[list[Photo], list[Photo]]:
    """The photographs with people that may be trained on, and those without, as grey."""
    scenes = [_vouched(photo) for photo in _photos(root, labels, "faces-boxes", progress)]
    empties = []
    scenes += [photo for photo in _photos(root, labels, "people", progress) if len(photo.faces)]
    for path, photo in zip(
        training_pictures(root, source("no-faces")),
        _photos(root, labels, "no-faces", progress),
        strict=True,
    ):
        if path.name in PEOPLE_AMONG_NO_FACES:
            scenes.append(photo)
        else:
            empties.append(Photo(photo.picture, Faces.none()))
    for photo in _photos(root, labels, "things", progress):
        shows_people = bool((photo.faces.scores >= IGNORE_SCORE).any())
        (scenes if shows_people else empties).append(photo)
    return scenes, empties


def _walls(root: Path, labels: Path, progress: Callable[[str], None]) -> Iterable[Photo]:
    """Rooms whose walls and tables may be shown, and no person: people, and what the teacher takes
    for a face, are painted over."""
    item = source("rooms")
    progress(item.name)
    paths = sorted((root / item.folder).glob(f"{WALLS_PREFIX}*.jpg"))
    known = load_faces(labels / f"{item.name}.npz") if paths else {}
    for path in paths:
        people = read_annotation(root / item.annotations / f"{path.stem}.xml").boxes
        margin = (people[:, 2:] - people[:, :2]) * PERSON_MARGIN
        boxes = np.concatenate([people[:, :2] - margin, people[:, 2:] + margin], 1)
        picture = grey(read_picture(path))
        for box in np.concatenate([boxes, known[path.name].boxes]):
            _paint_over(picture, box)
        yield Photo(picture, Faces.none())


def _paint_over(picture: Picture, box: Floats) -> None:
    """Fill a box with what stands at its left and right edge, one running into the other."""
    height, width = picture.shape
    left, top = np.clip(np.floor(box[:2]), 0, [width, height]).astype(int)
    right, bottom = np.clip(np.ceil(box[2:]), 0, [width, height]).astype(int)
    if right <= left or bottom <= top:
        return
    edges = picture[top:bottom, [max(left - 1, 0), min(right, width - 1)]].astype(np.float32)
    share = np.linspace(0, 1, right - left, dtype=np.float32)[None]
    picture[top:bottom, left:right] = edges[:, :1] * (1 - share) + edges[:, 1:] * share


def _photos(
    root: Path, labels: Path, name: str, progress: Callable[[str], None]
) -> Iterable[Photo]:
    progress(name)
    paths = training_pictures(root, source(name))
    if not paths:
        return
    known = load_faces(labels / f"{name}.npz")
    for path in paths:
        picture = grey(read_picture(path))
        yield Photo(picture, clip(known[path.name], picture))


def _vouched(photo: Photo) -> Photo:
    """Faces that an annotator saw (or the teacher, as surely) become certain."""
    faces = photo.faces
    scores = np.where(faces.scores >= np.float32(SURE_SCORE), np.float32(CERTAIN), faces.scores)
    return Photo(photo.picture, Faces(faces.boxes, faces.landmarks, scores.astype(np.float32)))


def _one_sure_face(photo: Photo) -> bool:
    """One clear face, and nothing else that could be one."""
    scores = photo.faces.scores
    return len(scores) == 1 and bool(scores[0] >= SINGLE_SCORE)


@dataclass(frozen=True)
class Shard:
    """Crops on disk: pictures (n, CROP, CROP) uint8 and labels (n, MAX_FACES, 16) float32, both
    memory-mapped."""

    pictures: Picture
    labels: Floats

    @classmethod
    def open(cls, path: Path) -> Shard:
        """Map a shard written by render_shard."""
        pictures = np.load(path, mmap_mode="r")
        return cls(pictures, np.load(_labels_path(path), mmap_mode="r"))

    def __len__(self) -> int:
        return len(self.pictures)


def _labels_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.labels{path.suffix}")


def render_shard(stock: Stock, path: Path, count: int, seed: int) -> None:
    """Render count crops to path (.npy, its labels beside it). The picture file appears only when
    it is complete."""
    rng = np.random.default_rng(seed)
    part = path.with_suffix(".part.npy")
    pictures = np.lib.format.open_memmap(part, "w+", np.uint8, (count, CROP, CROP))
    labels = np.zeros((count, MAX_FACES, LABEL_WIDTH), np.float32)
    for i in range(count):
        crop = render(stock, rng)
        pictures[i], labels[i] = crop.picture, crop.labels
    pictures.flush()
    np.save(_labels_path(path), labels)
    part.rename(path)


def shards(folder: Path) -> list[Path]:
    """The finished shards of a folder, oldest first."""
    return sorted(
        path
        for path in folder.glob("shard-*.npy")
        if ".labels" not in path.name and ".part" not in path.name
    )


def remove_old(folder: Path, keep: int) -> bool:
    """Remove the oldest shards beyond `keep`; whether there are that many."""
    finished = shards(folder)
    for path in finished[:-keep]:
        path.unlink()
        _labels_path(path).unlink()
    return len(finished) >= keep
