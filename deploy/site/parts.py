"""The parts of a site, and where each lies on its machine, apart from every other.

    /opt/roommood/PART/releases/ID/  etc/*, units/*, venv -> ../../venvs/DIGEST
    /opt/roommood/PART/current       -> releases/ID
    /opt/roommood/activate PART ID   makes a release the part's current one

PART is `desktop` or `cameras/NAME`. One machine may have several.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from roommood.deploy.site.site_file import DESKTOP
from roommood.shared.security.keys import (
    AGGREGATORS_FILE,
    ALLOW_LIST_FILE,
    CAMERA_FILE,
    WORKERS_FILE,
)

ROOT: Final = PurePosixPath("/opt/roommood")
ACTIVATE: Final = ROOT / "activate"
ETC: Final = PurePosixPath("/etc/roommood")
KEYS: Final = ETC / "keys"
ALLOWED: Final = ETC / "allowed"
REDIS: Final = ETC / "redis"
# Of the desktop: what was counted.
DATA: Final = PurePosixPath("/var/lib/roommood-redis")
WRITER_PASSWORD: Final = "redis-writer.password"
READER_PASSWORD: Final = "redis-reader.password"
OPERATOR_PASSWORD: Final = "redis-operator.password"
MQTT_PASSWORD: Final = "mqtt.password"
NOTIFY_URLS: Final = "notify.urls"
# Where a camera's key lay while a machine had one part.
FORMER_CAMERA_KEY: Final = KEYS / CAMERA_FILE


@dataclass(frozen=True, slots=True)
class Part:
    """`name` is that of the site's file; `folder` lies below ROOT; `secrets` are its files."""

    name: str
    folder: str
    secrets: tuple[PurePosixPath, ...]

    @property
    def root(self) -> PurePosixPath:
        return ROOT / self.folder

    @property
    def is_desktop(self) -> bool:
        return self.folder == DESKTOP


DESKTOP_PART: Final = Part(
    DESKTOP,
    DESKTOP,
    (
        *(KEYS / name for name in (WORKERS_FILE, AGGREGATORS_FILE)),
        *(KEYS / name for name in (WRITER_PASSWORD, READER_PASSWORD, OPERATOR_PASSWORD)),
        *(KEYS / name for name in (MQTT_PASSWORD, NOTIFY_URLS)),
        REDIS / "users.acl",
        ALLOWED / ALLOW_LIST_FILE,
    ),
)


def camera_part(name: str) -> Part:
    """A camera's, by its name."""
    return Part(name, f"cameras/{name}", (camera_key(name), source_password(name)))


def camera_key(name: str) -> PurePosixPath:
    """Where a camera's secret key lies."""
    return KEYS / f"camera-{name}.key"


def source_password(name: str) -> PurePosixPath:
    """Where the password of a network camera lies."""
    return KEYS / f"camera-{name}.source-password"


def part_in(folder: str) -> Part:
    """The part of a folder below ROOT."""
    return DESKTOP_PART if folder == DESKTOP else camera_part(folder.rpartition("/")[2])
