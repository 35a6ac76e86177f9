"""What `roommood doctor` says of the cameras of this machine: which there are, and their modes.

Webcams are asked through V4L2 (docs.kernel.org/userspace-api/media/v4l: QUERYCAP, ENUM_FMT,
ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS), the Pi's own through Picamera2 where it is installed.
"""

import os
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from roommood.camera_node.sources.devices import PI_DRIVERS
from roommood.camera_node.sources.picamera import Picamera2Unusable, load_picamera2
from roommood.deploy.doctor.findings import Finding, fail, ok, skipped, warn

_QUERYCAP: Final = 0x80685600
_ENUM_FMT: Final = 0xC0405602
_ENUM_FRAMESIZES: Final = 0xC02C564A
_ENUM_FRAMEINTERVALS: Final = 0xC034564B
_CAPTURE: Final = 1
_DISCRETE: Final = 1
_DEVICE_CAPS: Final = 0x8000_0000
# More than any camera has; ends the list of a driver that never says it is over.
_MOST_MODES: Final = 64
_MJPG: Final = ("MJPG", "JPEG")
Ask = Callable[[int, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Mode:
    """One picture format and size; `rate_hz` is the highest there is, 0 where it is not told."""

    kind: str
    width: int
    height: int
    rate_hz: float

    def __str__(self) -> str:
        rate = f" {self.rate_hz:g}/s" if self.rate_hz else ""
        return f"{self.kind} {self.width}x{self.height}{rate}"


@dataclass(frozen=True, slots=True)
class Camera:
    """A V4L2 device that gives pictures."""

    driver: str
    card: str
    modes: tuple[Mode, ...]


def check_cameras(devices: Path = Path("/dev")) -> Iterator[Finding]:
    """A finding for each camera that hangs on this machine."""
    findings = [*_webcams(devices), *_pi_cameras()]
    yield from findings
    if not findings:
        yield skipped("cameras", f"none in {devices}, and no Picamera2 that knows one")


def _webcams(devices: Path) -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    for path in sorted(devices.glob("video*"), key=lambda path: (len(path.name), path.name)):
        about = f"camera {path}"
        try:
            camera = look(path)
        except PermissionError:
            todo = "sudo usermod -aG video $USER, then log in again"
            yield warn(about, "this user may not open it", todo)
        except OSError as error:
            yield skipped(about, f"is no camera: {error.strerror}")
        else:
            if camera is not None:
                yield _webcam_finding(about, camera)


def _webcam_finding(about: str, camera: Camera) -> Finding:
    if camera.driver in PI_DRIVERS:
        return skipped(about, f"belongs to the Pi's camera ({camera.driver}): --source picamera")
    text = f"{camera.card}: {', '.join(map(str, camera.modes)) or 'tells no modes'}"
    if any(mode.kind in _MJPG for mode in camera.modes):
        return ok(about, text)
    todo = "it works, but each picture is compressed here: a camera with MJPG costs far less"
    return warn(about, f"{text}; no MJPG", todo)


def look(path: Path) -> Camera | None:
    """The camera behind a device; None for a decoder or another that gives no pictures.

    Raises OSError where it cannot be opened or is no V4L2 device.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        return read_camera(lambda request, given: fcntl.ioctl(descriptor, request, given))
    finally:
        os.close(descriptor)


def read_camera(ask: Ask) -> Camera | None:
    """What a device answers; `ask` is ioctl(2) with the structure before and after."""
    driver, card, _, _, all_caps, own_caps = struct.unpack(
        "16s32s32sIII12x", ask(_QUERYCAP, bytes(104))
    )
    caps = own_caps if all_caps & _DEVICE_CAPS else all_caps
    if not caps & _CAPTURE:
        return None
    return Camera(_text(driver), _text(card), tuple(_modes(ask)))


def _modes(ask: Ask) -> Iterator[Mode]:
    for fourcc in _formats(ask):
        kind = fourcc.to_bytes(4, "little").decode("ascii", "replace").strip()
        for width, height in _sizes(ask, fourcc):
            yield Mode(kind, width, height, _highest_rate_hz(ask, fourcc, width, height))


def _formats(ask: Ask) -> Iterator[int]:
    for answer in _each(ask, _ENUM_FMT, lambda n: struct.pack("II56x", n, _CAPTURE)):
        yield struct.unpack_from("I", answer, 44)[0]


def _sizes(ask: Ask, fourcc: int) -> Iterator[tuple[int, int]]:
    """Each size, or the largest of a range."""
    for answer in _each(ask, _ENUM_FRAMESIZES, lambda n: struct.pack("II36x", n, fourcc)):
        kind, first, second, _, _, largest = struct.unpack_from("6I", answer, 8)
        yield (first, second) if kind == _DISCRETE else (second, largest)
        if kind != _DISCRETE:
            return


def _highest_rate_hz(ask: Ask, fourcc: int, width: int, height: int) -> float:
    def question(number: int) -> bytes:
        return struct.pack("IIII36x", number, fourcc, width, height)

    best = 0.0
    for answer in _each(ask, _ENUM_FRAMEINTERVALS, question):
        kind, numerator, denominator = struct.unpack_from("3I", answer, 16)
        best = max(best, denominator / numerator if numerator else 0.0)
        if kind != _DISCRETE:
            break
    return round(best, 2)


def _each(ask: Ask, request: int, question: Callable[[int], bytes]) -> Iterator[bytes]:
    """Answers to 0, 1, 2, ... until the driver refuses."""
    for number in range(_MOST_MODES):
        try:
            yield ask(request, question(number))
        except OSError:
            return


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _pi_cameras() -> Iterator[Finding]:
    if find_spec("picamera2") is None:
        return
    try:
        picamera2 = load_picamera2()
    except Picamera2Unusable as error:
        yield fail("Pi camera", error.why, error.to_do)
        return
    try:
        known = picamera2.global_camera_info()
        for number, info in enumerate(known):
            with picamera2(number) as camera:
                modes = [_pi_mode(mode) for mode in camera.sensor_modes]
            yield ok(f"Pi camera {number}", f"{info.get('Model', '?')}: {', '.join(modes)}")
    except Exception as error:  # libcamera raises bare RuntimeError, IndexError and more
        todo = "does `rpicam-hello --list-cameras` show it, and does no other program use it?"
        yield warn("Pi camera", f"cannot be asked: {error}", todo)


def _pi_mode(mode: dict[str, object]) -> str:
    size, rate_hz = mode.get("size"), mode.get("fps")
    width, height = size if isinstance(size, tuple) else ("?", "?")
    return (
        f"{width}x{height} {rate_hz:.0f}/s" if isinstance(rate_hz, float) else f"{width}x{height}"
    )
