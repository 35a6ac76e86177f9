"""CURVE keys: which a process of a site has, and from which files it reads them.

The workers of a site share one pair, its aggregators another; each camera has its own. A key
file is TOML with the text form of keys that ZeroMQ uses (Z85, rfc.zeromq.org/spec/32): a `role`,
the pair, and the public keys that its holder trusts.

    camera-NAME.key   role "camera", camera, room, public, secret, workers
    workers.key       role "workers", public, secret, aggregators
    aggregators.key   role "aggregators", public, secret, workers
    cameras.toml      the cameras that may come in (see `shared.security.allow_list`)

`place` below is the `keys` setting: the folder that holds such files or, for a camera, the file.
What the folder lacks is looked for among systemd's credentials ($CREDENTIALS_DIRECTORY).
"""

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.security.private_file import credentials_folder, read_private

WORKERS_FILE: Final = "workers.key"
AGGREGATORS_FILE: Final = "aggregators.key"
ALLOW_LIST_FILE: Final = "cameras.toml"
# A camera's bundle, where the file is not named after the camera.
CAMERA_FILE: Final = "camera.key"

_KEY_CHARS: Final = 40
_Z85: Final = frozenset(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
)
# Bytes of a key file, and of an allow-list of some 50,000 cameras.
_MAX_KEY_FILE_BYTES: Final = 16 * 1024
MAX_ALLOW_LIST_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A process's own key, both halves in Z85; the secret half is in no `repr`."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a connecting socket needs: its own pair, and the key that the other side must have."""

    own: KeyPair
    server: str


@dataclass(frozen=True, slots=True)
class CameraBundle:
    """What is copied to a camera: its keys, and the one camera and room they are for."""

    camera: str
    room: str
    keys: ClientKeys


@dataclass(frozen=True, slots=True)
class WorkerKeys:
    """What a worker needs; `allow_list` is the file that names the cameras."""

    own: KeyPair
    aggregators: str
    allow_list: Path

    @property
    def to_aggregators(self) -> ClientKeys:
        return ClientKeys(self.own, self.aggregators)


@dataclass(frozen=True, slots=True)
class AggregatorKeys:
    """What an aggregator needs: its own pair, and the one key that may report.

    `allow_list`, where it has one, names the site's rooms.
    """

    own: KeyPair
    workers: str
    allow_list: Path | None = None


def is_key(text: object) -> bool:
    """True for a public or secret key as ZeroMQ writes it: 40 characters of Z85."""
    return isinstance(text, str) and len(text) == _KEY_CHARS and _Z85.issuperset(text)


def fingerprint(public: str) -> str:
    """Sixteen hexadecimal digits by which people compare public keys."""
    digest = hashlib.sha256(public.encode()).hexdigest()
    return "-".join(digest[start : start + 4] for start in range(0, 16, 4))


# What each component reads


def camera_keys(place: Path | None, camera: str, room: str) -> ClientKeys | None:
    """A camera's keys; None if none are set up. Raises ConfigError, also for another's bundle."""
    path = _find(place, f"camera-{camera}.key", CAMERA_FILE)
    if path is None:
        return None
    bundle = read_bundle(path)
    if (bundle.camera, bundle.room) != (camera, room):
        raise ConfigError(
            f"{path} is the key of camera {bundle.camera!r} in room {bundle.room!r}, and this is "
            f"{camera!r} in {room!r}: a key belongs to one camera in one room; "
            f"`roommood keys add-camera {camera} --room {room}` makes another"
        )
    return bundle.keys


def camera_bundle(place: Path | None) -> CameraBundle | None:
    """What `place` tells of the camera it is for, if it is a key file, or systemd hands one over;
    None for a folder, which may hold several. Raises ConfigError."""
    if place is not None and place.expanduser().is_file():
        return read_bundle(place.expanduser())
    folder = credentials_folder()
    file = folder / CAMERA_FILE if folder is not None and place is None else None
    return read_bundle(file) if file is not None and file.is_file() else None


def read_bundle(path: Path) -> CameraBundle:
    """A camera's key file. Raises ConfigError."""
    values = read_key_file(path, "camera", "camera", "room", "workers")
    keys = ClientKeys(_pair(values), _key(path, values, "workers"))
    return CameraBundle(values["camera"], values["room"], keys)


def worker_keys(place: Path | None) -> WorkerKeys | None:
    """A worker's keys; None if none are set up. Raises ConfigError."""
    path = _find(place, WORKERS_FILE)
    if path is None:
        return None
    values = read_key_file(path, "workers", "aggregators")
    # Given a file instead of a folder, the list is the one beside it.
    allow_list = _find(path.parent if path == place else place, ALLOW_LIST_FILE)
    if allow_list is None:
        raise ConfigError(
            f"no {ALLOW_LIST_FILE} beside {path}: copy it from the machine where "
            "`roommood keys` is run, or no camera could come in"
        )
    return WorkerKeys(_pair(values), _key(path, values, "aggregators"), allow_list)


def aggregator_keys(place: Path | None) -> AggregatorKeys | None:
    """An aggregator's keys; None if none are set up. Raises ConfigError."""
    path = _find(place, AGGREGATORS_FILE)
    if path is None:
        return None
    values = read_key_file(path, "aggregators", "workers")
    folder = path.parent if place is None or path == place else place.expanduser()
    allow_list = folder / ALLOW_LIST_FILE
    return AggregatorKeys(
        _pair(values), _key(path, values, "workers"), allow_list if allow_list.exists() else None
    )


def _find(place: Path | None, *names: str) -> Path | None:
    """The file of the first of these names; raises ConfigError if `place` is set and has none."""
    place = place.expanduser() if place is not None else None
    try:
        if place is not None and place.is_file():
            return place
        folders = [folder for folder in (place, credentials_folder()) if folder is not None]
        for path in (folder / name for folder in folders for name in names):
            if path.exists():
                return path
    except OSError as error:
        raise ConfigError(f"cannot look for keys at {place}: {error}") from error
    if place is None:
        return None
    what = (
        f"there is no key file {place}"
        if place.suffix == ".key"
        else f"no {' or '.join(names)} in the key folder {place}"
    )
    raise ConfigError(f"{what}: copy it there from the machine where `roommood keys init` was run")


# Files


def read_key_file(path: Path, role: str, *names: str) -> dict[str, str]:
    """The values of a key file for `role`: its pair and what is named. Raises ConfigError."""
    text = read_private(path, _MAX_KEY_FILE_BYTES, "keys")
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged: {error}: copy it again") from error
    if values.get("role") != role:
        raise ConfigError(
            f"{path} is a key file for {values.get('role')!r}, and one for {role!r} is needed"
        )
    for name in ("public", "secret", *names):
        if not isinstance(values.get(name), str):
            raise ConfigError(f"{path} is damaged: it has no {name}: copy it again")
    own = (_key(path, values, "public"), _key(path, values, "secret"))
    if public_of(own[1]) != own[0]:
        raise ConfigError(f"{path} is damaged: its two keys are no pair: copy it again")
    return {name: str(value) for name, value in values.items()}


def public_of(secret: str) -> str:
    """The public half that goes with a secret one; "" if it is no key."""
    import zmq

    try:
        return bytes(zmq.curve_public(secret.encode())).decode()
    except (zmq.ZMQError, ValueError):
        return ""


def _pair(values: dict[str, str]) -> KeyPair:
    return KeyPair(values["public"], values["secret"])


def _key(path: Path, values: dict[str, str], name: str) -> str:
    key = values[name]
    if not is_key(key):
        raise ConfigError(f"{path} is damaged: {name} is no key: copy it again")
    return key
