"""Reports to the fields of the health hashes: flat names, numbers with units."""

import json
from collections.abc import Container, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from roommood.shared.protocol.emotions import SIZE_CLASSES
from roommood.shared.protocol.measures import as_hash
from roommood.shared.protocol.messages import (
    DELIVERY_PROBLEMS,
    PICTURE_PROBLEMS,
    CameraReport,
    ModelReport,
    Report,
)

HealthFields = Mapping[str, str | float]
_WORKER_TEXTS: Final = ("address", "release", "unreached", "provider")
# Counts that one worker gives of one camera: a dozen outcomes there are.
_MAX_COUNTS: Final = 24


def worker_fields(report: Report) -> HealthFields:
    """Fields of `roommood:worker:<id>`."""
    numbers = {name: round(value, 3) for name, value in report.health.items()}
    cameras = len(report.cameras)
    texts = {name: getattr(report, name) for name in _WORKER_TEXTS}
    return {**texts, "cameras": cameras, **numbers}


def camera_fields(reports: Iterable[Report]) -> dict[str, HealthFields]:
    """Fields of `roommood:camera:<id>`, by camera.

    What the camera says of itself comes from the worker that heard it last; counts that each
    worker keeps (`analysed`, `refused-...`, `lost-on-wire`) are given by worker.
    """
    merged: dict[str, dict[str, str | float]] = {}
    heard: dict[str, float] = {}
    for report in reports:
        for camera in report.cameras:
            fields = merged.setdefault(camera.camera, {})
            counts = islice(camera.counts.items(), _MAX_COUNTS)
            fields |= {f"{name}@{report.worker_id}": round(n, 3) for name, n in counts}
            if camera.silent_ms < heard.get(camera.camera, float("inf")):
                heard[camera.camera] = camera.silent_ms
                fields |= _own_words(camera)
    return dict(merged)


def _own_words(camera: CameraReport) -> dict[str, str | float]:
    return {
        "room": camera.room,
        "boot_id": camera.session_id,
        "release": camera.release,
        "silent_ms": round(camera.silent_ms),
        "rate_hz": round(camera.rate_hz, 2),
        "width": camera.width,
        "height": camera.height,
        **as_hash(camera.health),
        "picture": _picture(camera.health.source),
    }


def _picture(source: str) -> str:
    """What is wrong with the picture, as the camera says it in its source's status; "ok" if nothing
    is, "" while no pictures come."""
    state = source.partition(":")[0]
    if state in ("ok", *DELIVERY_PROBLEMS):
        return "ok"
    return source if state in PICTURE_PROBLEMS else ""


def model_fields(model: ModelReport) -> dict[str, Any]:
    """Fields of `roommood:model:<id>`: matrices as JSON."""
    matrices = {
        f"{kind}:{size}": json.dumps(matrix)
        for size, kinds in model.confusion.items()
        for kind, matrix in kinds.items()
    }
    return {"labels": json.dumps(model.labels), "temperature": model.temperature, **matrices}


def absent_matrices(fields: Container[str]) -> list[str]:
    """Names of matrices that a model's fields lack, which an earlier model of its name may have."""
    names = [f"{kind}:{size}" for size in SIZE_CLASSES for kind in ("hard", "soft")]
    return [name for name in names if name not in fields]
