"""Files of the desktop that its services can see: a site's file names them as they lie there."""

import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

# What `ProtectHome=yes` and `PrivateTmp=yes` of the units hide.
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
_MODELS: Final = ("detector", "classifier")
# What a worker needs no file of its own for.
_SHIPPED: Final = frozenset({"", "haar", "face", "expression"})


def is_in_sight(path: str) -> bool:
    """Of a path as the file has it: a `~` is this machine's, and a unit sees no home folder."""
    place = PurePosixPath(os.path.normpath(path))
    return place.is_absolute() and not any(map(place.is_relative_to, _HIDDEN))


def check_models(worker: Mapping[str, Any]) -> None:
    """Raises ValueError for a model in a worker's settings that its service would not find."""
    for key in _MODELS:
        name = str(worker.get(key, ""))
        if name.partition(":")[0] not in _SHIPPED and not is_in_sight(name):
            raise ValueError(
                f"{key} {name!r}: give the whole path of a file on the desktop that user roommood "
                f"may read, such as /opt/roommood/models/{PurePosixPath(name).stem}.onnx, with its "
                "sidecar beside it: home folders, the models pulled there and /tmp are out of its "
                "sight"
            )
