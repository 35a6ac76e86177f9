"""From the spec string of a source to the source.

0, /dev/video0, webcam:0            a V4L2 webcam
picamera, picamera:1                a Raspberry Pi camera
rtsp://..., http://...              a network stream
party.mp4                           a video file, in its own time, over and over
portraits/, portrait.jpg            pictures at a fixed rate, sorted, over and over
simulated, simulated:DIR?people=2   pans over photographs with faces
"""

import os
import re
import stat
from pathlib import Path
from typing import Final

from roommood.camera_node.sources.endings import NOT_TAKEN, PICTURE_SUFFIXES, VIDEO_SUFFIXES
from roommood.camera_node.sources.network.address import Address
from roommood.camera_node.sources.picture import Source
from roommood.shared.errors import ConfigError, SourceError
from roommood.shared.protocol.limits import MAX_PICTURE_PIXELS, MIN_PICTURE_SIDE_PX
from roommood.shared.security.secret_urls import shown

_MAX_RATE_HZ: Final = 1000.0
_KINDS: Final = (
    "give a webcam (0, /dev/video0), picamera, rtsp://... or http://..., "
    "a video file, a picture, a folder of pictures, or simulated"
)


def open_source(
    spec: str,
    *,
    rate_hz: float | None = None,
    width: int | None = None,
    height: int | None = None,
    loop: bool = True,
    name: str = "",
    password_file: Path | None = None,
    any_certificate: bool = False,
) -> Source:
    """The source that `spec` names, to be opened by `with` or `open()`.

    Args:
        rate_hz: pictures a second asked for; None means the source's own rate.
        width, height: size in pixels asked of a camera or of the simulation.
        loop: False plays files and folders once, then raises EndOfSource.
        name: the camera's name; simulated cameras of other names show other pictures.
        password_file: holds the password of a camera on the network.
        any_certificate: take whatever certificate a camera shows over https.

    Raises:
        SourceError: nothing of this name, or not a kind of source that is known.
        ConfigError: a rate or size out of range.
    """
    _check(rate_hz, width, height)
    kind, _, rest = spec.partition(":")
    if kind.partition("?")[0] == "simulated":
        from roommood.camera_node.sources.simulated import parse_simulated

        return parse_simulated(spec, rate_hz=rate_hz, width=width, height=height, name=name)
    if kind == "picamera":
        from roommood.camera_node.sources.picamera import PiCamera

        number = _number(spec, rest or "0")
        return PiCamera(number, rate_hz=rate_hz, width=width, height=height)
    if kind == "webcam" or re.fullmatch("[0-9]+", spec) or spec.startswith("/dev/"):
        from roommood.camera_node.sources.webcam import Webcam

        device = (rest or "0") if kind == "webcam" else spec
        return Webcam(_device(spec, device), rate_hz=rate_hz, width=width, height=height)
    if "://" in spec:
        return _open_stream(spec, rate_hz, password_file, any_certificate)
    return _open_path(spec, rate_hz, loop)


def _check(rate_hz: float | None, width: int | None, height: int | None) -> None:
    if rate_hz is not None and not 0 < rate_hz <= _MAX_RATE_HZ:
        raise ConfigError(f"rate_hz is {rate_hz}; use more than 0 and at most {_MAX_RATE_HZ:g}")
    for side, pixels in (("width", width), ("height", height)):
        if pixels is not None and pixels < MIN_PICTURE_SIDE_PX:
            raise ConfigError(f"{side} is {pixels}; use at least {MIN_PICTURE_SIDE_PX} pixels")
    if (width or 1) * (height or 1) > MAX_PICTURE_PIXELS:
        raise ConfigError(f"{width}x{height} is too large; use at most 3840x2160 pixels")
    if (width is None) != (height is None):
        raise ConfigError("width and height come together: give both or none")


def _number(spec: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", text, re.ASCII):
        raise SourceError(
            f"source {shown(spec)!r}: {shown(text)!r} is not a camera's number; use for example 0"
        )
    return int(text)


def _device(spec: str, device: str) -> int | str:
    return device if device.startswith("/dev/") else _number(spec, device)


def _open_stream(
    spec: str, rate_hz: float | None, password_file: Path | None, any_certificate: bool
) -> Source:
    address = Address.parse(spec, password_file)
    if address.url.lower().startswith("rtsp"):
        from roommood.camera_node.sources.network.stream import Stream

        return Stream(address, rate_hz=rate_hz)
    from roommood.camera_node.sources.network.http_camera import HttpCamera

    return HttpCamera(address, rate_hz=rate_hz, any_certificate=any_certificate)


def _open_path(spec: str, rate_hz: float | None, loop: bool) -> Source:
    path = Path(os.path.expanduser(spec))
    suffix = path.suffix.lower()
    try:
        is_folder = bool(spec) and stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"source {shown(spec)!r} cannot be read ({_reason(error)}): {_KINDS}"
        ) from error
    if is_folder or suffix in PICTURE_SUFFIXES:
        from roommood.camera_node.sources.pictures import PictureFolder

        return PictureFolder(path, rate_hz=rate_hz, loop=loop)
    if suffix in VIDEO_SUFFIXES:
        from roommood.camera_node.sources.video import VideoFile

        return VideoFile(path, rate_hz=rate_hz, loop=loop)
    if suffix in NOT_TAKEN:
        todo = NOT_TAKEN[suffix]
        raise SourceError(
            f"source {shown(spec)!r}: files that end in {suffix} are not taken: {todo}"
        )
    raise SourceError(
        f"source {shown(spec)!r} is neither a picture nor a video by its ending: {_KINDS}"
    )


def _reason(error: OSError | ValueError) -> str:
    """Without the path, which may be a misspelt address with a password in it."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
