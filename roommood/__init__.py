"""Room mood from Raspberry Pi cameras: the statistics of a room, to be read from Python.

    from roommood import RoomStats

    with RoomStats("redis://127.0.0.1:6379/0") as stats:
        print(stats.summary("kitchen", timedelta(hours=1)).dominant)

`analyse_picture`, `analyse_pictures` and `analyse_video` need no room, no Redis and none of its
processes. Every error is a `RoommoodError`, whose text says what to do.

What stands here is loaded when it is first used, so that a machine needs only the libraries of
what it runs.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roommood.aggregator.stats.figures import RoomPeriod
    from roommood.aggregator.stats.room_stats import RoomStats
    from roommood.deploy.analyse.pictures import (
        PictureFaces,
        ShownFace,
        analyse_picture,
        analyse_pictures,
    )
    from roommood.deploy.analyse.run import Second, analyse_video
    from roommood.shared.errors import PictureError, RoommoodError, SourceError, StoreAway

__all__ = [
    "PictureError",
    "PictureFaces",
    "RoomPeriod",
    "RoomStats",
    "RoommoodError",
    "Second",
    "ShownFace",
    "SourceError",
    "StoreAway",
    "analyse_picture",
    "analyse_pictures",
    "analyse_video",
]

_HOMES = {
    "PictureError": "roommood.shared.errors",
    "PictureFaces": "roommood.deploy.analyse.pictures",
    "RoomPeriod": "roommood.aggregator.stats.figures",
    "RoomStats": "roommood.aggregator.stats.room_stats",
    "RoommoodError": "roommood.shared.errors",
    "Second": "roommood.deploy.analyse.run",
    "ShownFace": "roommood.deploy.analyse.pictures",
    "SourceError": "roommood.shared.errors",
    "StoreAway": "roommood.shared.errors",
    "analyse_picture": "roommood.deploy.analyse.pictures",
    "analyse_pictures": "roommood.deploy.analyse.pictures",
    "analyse_video": "roommood.deploy.analyse.run",
}
# Python that runs in a clone finds this folder before what is installed; its parts lie beside it.
_CLONE = Path(__file__).parents[1]
if (_CLONE / "camera_node/node.py").is_file():
    __path__.append(str(_CLONE))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
