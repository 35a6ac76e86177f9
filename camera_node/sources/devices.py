"""Who holds a camera that cannot be opened: looked up in /proc, as far as this user may look."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
SYSFS: Final = Path("/sys/class/video4linux")
# Drivers of a Pi's camera port: their devices give what the sensor sees, not pictures.
PI_DRIVERS: Final = ("unicam", "rp1-cfe", "bcm2835-isp", "pispbe", "rpi-hevc-dec")
_NODES: Final = ("camera-node", "camera_node", "roommood")
# A Pi camera is reached through several of these.
_MEDIA: Final = ("/dev/video", "/dev/media", "/dev/v4l-subdev")


def who_holds(spec: str, proc: Path = _PROC) -> str:
    """A sentence on who holds the device of a source, and what to do; "" if nobody is seen."""
    devices = _devices_of(spec)
    for pid, command in _holders(devices, proc) if devices else ():
        if any(name in command for name in _NODES):
            return (
                f"the camera node holds it (process {pid}: {command}): stop it first, "
                "for example with: sudo systemctl stop camera-node"
            )
        return f"process {pid} holds it: {command}"
    return ""


def belongs_to_pi_camera(device: int | str, sysfs: Path = SYSFS) -> str:
    """A sentence on a webcam's device that is a Pi's camera port, and what to do; "" of others."""
    node = (
        f"video{device}" if isinstance(device, int) else os.path.basename(os.path.realpath(device))
    )
    try:
        name = (sysfs / node / "name").read_text().strip()
    except (OSError, ValueError):
        return ""
    is_port = name.startswith(PI_DRIVERS)
    return f"belongs to the Pi's own camera ({name}): --source picamera" if is_port else ""


def _devices_of(spec: str) -> tuple[str, ...]:
    """What the paths of its device begin with; empty for a source that many may read."""
    kind, _, rest = spec.partition(":")
    if kind == "picamera":
        return _MEDIA
    device = (rest or "0") if kind == "webcam" else spec
    if re.fullmatch("[0-9]{1,2}", device):
        return (f"/dev/video{device}",)
    return (os.path.realpath(device),) if device.startswith("/dev/") else ()


def _holders(devices: tuple[str, ...], proc: Path) -> Iterator[tuple[int, str]]:
    whole = len(devices) == 1
    for folder in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        if int(folder.name) == os.getpid():
            continue
        if any(path in devices if whole else path.startswith(devices) for path in _open_in(folder)):
            yield int(folder.name), _command(folder)


def _open_in(folder: Path) -> Iterator[str]:
    try:
        descriptors = list((folder / "fd").iterdir())
    except OSError:  # it has ended, or belongs to another user
        return
    for descriptor in descriptors:
        try:
            yield os.readlink(descriptor)
        except OSError:
            continue


def _command(folder: Path) -> str:
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "a program that has just ended"
    text = " ".join(words).strip()[:120]
    return "".join(c if c.isprintable() else "?" for c in text)
