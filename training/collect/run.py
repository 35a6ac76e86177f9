"""`collect` as a whole: consent, then camera and models, then keys or one label for all."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from roommood.camera_node.sources.endings import PICTURE_SUFFIXES
from roommood.camera_node.sources.open import open_source
from roommood.camera_node.sources.picture import Source
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION, load_expression
from roommood.inference_worker.vision.detectors import open_detector
from roommood.shared.counted import counted
from roommood.shared.errors import ConfigError
from roommood.shared.security.secret_urls import redacted, shown
from roommood.training.collect.collect import FaceCrop, FaceFinder, label_all, label_each
from roommood.training.collect.collection import Collection, session_name
from roommood.training.collect.consent import agree
from roommood.training.collect.labels import expression_named
from roommood.training.collect.screen import Screen

_FILES_RATE_HZ: Final = 1000.0


@dataclass(frozen=True)
class CollectOptions:
    """What the command line asks for. Without a `label` each face is asked for."""

    folder: Path
    source: str
    label: str | None
    limit: int
    rate_hz: float
    min_face_px: float
    purpose: str
    has_consent: bool
    detector: str


def collect(options: CollectOptions) -> None:
    """Run one session. Raises ConfigError, SourceError, ModelError before anything is written,
    unless the source breaks later: then what was collected stays."""
    expression = expression_named(options.label) if options.label else None
    if not (sys.stdin.isatty() or (expression and options.has_consent)):
        raise ConfigError("no terminal to ask at: give --label and --i-have-consent")
    now = datetime.now(UTC)
    finder = _finder(options)
    source = _source(options)
    ask = None if options.has_consent else _ask
    agree(options.folder, redacted_source(options.source), options.purpose, ask, now)
    collection = Collection(options.folder, session_name(now, secrets.randbelow(1 << 16)))
    with closing(finder.faces_of(source)) as faces:
        if expression:
            kept = _label_all(faces, collection, expression, options.limit)
        else:
            kept = _label_each(faces, collection)
    _tell(kept, collection, finder, options)


def redacted_source(spec: str) -> str:
    """The source for the record, without a stream's password."""
    return redacted(spec) if "://" in spec else f"source {shown(spec)}"


def _finder(options: CollectOptions) -> FaceFinder:
    detector = open_detector(options.detector)
    _, contract = load_expression(SHIPPED_EXPRESSION)
    return FaceFinder(detector, contract.crop, options.min_face_px)


def _source(options: CollectOptions) -> Source:
    path = Path(options.source)
    are_files = path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES
    rate_hz = _FILES_RATE_HZ if are_files else options.rate_hz
    return open_source(options.source, rate_hz=rate_hz, loop=False)


def _ask(text: str) -> str:
    Console().print(text, highlight=False, markup=False)
    try:
        return input('Type "yes" if all of this is so: ')
    except EOFError:
        return ""


def _label_all(
    faces: Iterator[FaceCrop], collection: Collection, expression: str, limit: int
) -> int:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    before = sum(collection.counts.values())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"{expression}: Ctrl+C ends", total=limit)
        try:
            return label_all(
                faces, collection, expression, limit, lambda n: bar.update(task, completed=n)
            )
        except KeyboardInterrupt:
            return sum(collection.counts.values()) - before


def _label_each(faces: Iterator[FaceCrop], collection: Collection) -> int:
    before = sum(collection.counts.values())
    with Screen(Console()) as screen:
        try:
            return label_each(faces, collection, screen)
        except KeyboardInterrupt:
            return sum(collection.counts.values()) - before


def _tell(kept: int, collection: Collection, finder: FaceFinder, options: CollectOptions) -> None:
    console = Console(highlight=False)
    console.print(f"{kept} kept in {collection.folder}")
    for name, number in collection.counts.items():
        console.print(f"  {name:<10}{number:>6}")
    left_out = {
        "with none found": finder.faceless,
        f"with smaller ones than {options.min_face_px:g} pixels (--min-face)": finder.too_small,
        "damaged": finder.damaged,
    }
    if without := sum(left_out.values()):
        pictures = counted(finder.seen + finder.damaged, "picture")
        reasons = ", ".join(f"{number} {why}" for why, number in left_out.items() if number)
        console.print(f"no usable face in {without} of {pictures}: {reasons}")
    if not kept:
        console.print("No face was kept: is it large enough (--min-face), lit, and facing you?")
