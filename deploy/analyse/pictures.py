"""From picture files to the faces in each, and what each face shows."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from roommood.camera_node.encoder import Encoder
from roommood.camera_node.sources.endings import NOT_TAKEN, PICTURE_SUFFIXES
from roommood.camera_node.sources.pictures import is_listed, left_out, read_picture
from roommood.deploy.analyse.given import path_of, picture_of
from roommood.inference_worker.vision.analysis import Analyzer, open_analyzer
from roommood.shared.errors import PictureDamaged, PictureError, SourceError
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.messages import Face

if TYPE_CHECKING:
    import numpy.typing as npt

_log = logging.getLogger(__name__)
# Told of rather than passed over, though most cannot be read.
_OTHER_PHOTOGRAPHS: Final = frozenset({".heic", ".heif", ".avif", ".dng"})
# A photograph is compressed as a camera node compresses what it captures.
_JPEG_QUALITY: Final = 80


@dataclass(frozen=True, slots=True)
class ShownFace:
    """A face: its box (left, top, width, height) in pixels, and of each expression, 0..1, how
    likely it is shown. `score` (0..1) says how surely it is a face, `sure` whether the expression
    counts in a room's statistics."""

    box: tuple[int, int, int, int]
    score: float
    sure: bool
    expressions: dict[str, float]

    @property
    def dominant(self) -> str:
        """The likeliest expression."""
        return max(self.expressions, key=self.expressions.__getitem__)


@dataclass(frozen=True, slots=True)
class PictureFaces:
    """The faces of one picture, largest first; boxes are in pixels of the upright picture of
    `width` x `height`, which has 8.3 megapixels at most.

    A picture that cannot be used has a `problem`, and None for all else.
    """

    path: Path
    width: int | None = None
    height: int | None = None
    faces: tuple[ShownFace, ...] | None = None
    problem: str | None = None


def analyse_pictures(
    paths: Iterable[Path | str] | Path | str,
    *,
    rotation: int = 0,
    detector: str = "",
    classifier: str = "",
) -> Iterator[PictureFaces]:
    """The faces of these pictures, and of those directly in these folders, read as you go along.

    `rotation` is 0, 90, 180 or 270 degrees clockwise. The models are as the command takes them, ""
    for the shipped ones. Raises SourceError for an empty folder or an address, ModelError
    where a model fails, TypeError for what is no path, ValueError for another rotation.
    """
    given: Iterable[object] = [paths]
    if isinstance(paths, Iterable) and not isinstance(paths, Path | str | bytes):
        given = paths
    return faces_of(files_of(map(path_of, given)), open_analyzer(detector, classifier), rotation)


def analyse_picture(
    picture: "npt.NDArray[Any] | bytes | Path | str",
    *,
    rotation: int = 0,
    detector: str = "",
    classifier: str = "",
) -> tuple[ShownFace, ...]:
    """The faces of one picture, largest first; none where it shows nobody.

    `picture` is pixels as OpenCV has them, (H, W, 3) BGR or (H, W) grey, uint8; or the bytes of a
    picture file, or its path. Boxes are in its own pixels, once it is turned by `rotation` (0, 90,
    180 or 270 degrees clockwise). The models are as the command takes them, "" for the shipped
    ones; they are loaded at the first call and kept. May be called from several threads.

    Raises PictureError where the picture cannot be used, OSError for a file that cannot be read,
    SourceError for an address, ModelError where a model fails, ConfigError for one that nobody
    knows, TypeError for anything else, and ValueError for another rotation.
    """
    given = picture_of(picture)
    encoded = Encoder(quality=_JPEG_QUALITY).encode(given)
    faces = _kept_analyzer(detector, classifier).analyze(encoded.jpeg, rotation).faces
    grown = given.width / encoded.width, given.height / encoded.height
    return tuple(_shown(face, *grown[:: 1 if rotation in (0, 180) else -1]) for face in faces)


@cache
def _kept_analyzer(detector: str, classifier: str) -> Analyzer:
    return open_analyzer(detector, classifier)


def faces_of(
    files: Iterable[Path], analyzer: Analyzer, rotation: int = 0
) -> Iterator[PictureFaces]:
    """Of each file, in turn. Raises ModelError where a model fails."""
    encoder = Encoder(quality=_JPEG_QUALITY)
    for file in files:
        try:
            _refuse_what_is_not_taken(file)
            encoded = encoder.encode(read_picture(file))
            faces = analyzer.analyze(encoded.jpeg, rotation).faces
        except (PictureError, OSError) as error:
            problem = error.strerror if isinstance(error, OSError) else str(error)
            yield PictureFaces(file, problem=problem or str(error))
        else:
            size = (encoded.width, encoded.height)
            width, height = size if rotation in (0, 180) else size[::-1]
            yield PictureFaces(file, width, height, tuple(map(_shown, faces)))


def is_picture(path: Path) -> bool:
    """Whether it is a folder, or a picture by its ending."""
    return path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES | _OTHER_PHOTOGRAPHS


def files_of(paths: Iterable[Path]) -> list[Path]:
    """These files, and the pictures directly in these folders by name. Raises SourceError."""
    files = [file for path in paths for file in (_in_folder(path) if path.is_dir() else [path])]
    return list(dict.fromkeys(files))


def _in_folder(folder: Path) -> list[Path]:
    try:
        files = sorted(filter(is_listed, filter(is_picture, folder.iterdir())))
        sentences = left_out(folder, but=_OTHER_PHOTOGRAPHS)
    except OSError as error:
        raise SourceError(f"folder {folder} cannot be listed: {error.strerror}") from error
    if not files:
        endings = " ".join(sorted(PICTURE_SUFFIXES))
        raise SourceError("; ".join([f"folder {folder} holds no picture ({endings})", *sentences]))
    for sentence in sentences:
        _log.warning("folder %s: %s", folder, sentence)
    return files


def _refuse_what_is_not_taken(file: Path) -> None:
    if todo := NOT_TAKEN.get(file.suffix.lower()):
        raise PictureDamaged(f"files that end in {file.suffix} are not taken: {todo}")


def _shown(face: Face, right: float = 1.0, down: float = 1.0) -> ShownFace:
    """With its box so many times as far to the right and down, in a picture that was shrunk."""
    left, top, width, height = face.box
    box = (round(left * right), round(top * down), round(width * right), round(height * down))
    expressions = dict(zip(EXPRESSIONS, face.probabilities, strict=True))
    return ShownFace(box, face.score, face.sure, expressions)
