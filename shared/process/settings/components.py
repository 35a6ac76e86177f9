"""The tables of cameras, workers and aggregators."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from roommood.shared.process.settings.kinds import (
    address,
    any_text,
    camera_name,
    choice,
    file_path,
    number,
    picture_source,
    polygon,
    reached_address,
    redis_address,
    room_name,
    several,
    switch,
    whole,
)
from roommood.shared.process.settings.rows import NEEDED, Table, row

DEFAULT_FRAMES_ADDRESS: Final = "tcp://127.0.0.1:5701"
DEFAULT_REPORTS_ADDRESS: Final = "tcp://127.0.0.1:5700"
DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"

LOGS: Final = "Settings and logs"
_WHO: Final = "Who may take part"
_WHAT: Final = "What it watches"
_WHERE: Final = "Where frames go"
_PICTURE: Final = "Picture"
_NETWORK: Final = "Network"
_MODELS: Final = "Models"
_WORK: Final = "Work"
_PRIVACY: Final = "Privacy"
_REDIS: Final = "Redis"


@dataclass(frozen=True, kw_only=True)
class Settings(Table):
    """What everything that runs for long has."""

    log_format: str = row(
        choice("text", "json"), "text", "text for people, json for machines.", LOGS,
        shared_as="ROOMMOOD_LOG_FORMAT",
    )  # fmt: skip
    log_level: str = row(
        choice("debug", "info", "warning", "error"), "info", "Least severe line to log.",
        LOGS, shared_as="ROOMMOOD_LOG_LEVEL",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Component(Settings):
    """What cameras, workers and aggregators have."""

    keys: Path | None = row(
        file_path("PATH"), None,
        "Folder with this machine's keys, or a camera's key file: see `roommood keys`.", _WHO,
        shared_as="ROOMMOOD_KEYS",
    )  # fmt: skip
    insecure: bool = row(
        switch(), False,
        "Talk to other machines without keys, so unencrypted and with anyone who asks.", _WHO,
        shared_as="ROOMMOOD_INSECURE",
    )  # fmt: skip
    metrics_host: str = row(
        any_text(), "127.0.0.1", "Interface on which metrics are served.", LOGS,
        shared_as="ROOMMOOD_METRICS_HOST",
    )  # fmt: skip
    metrics_port: int | None = row(
        whole(1, 65_535, "PORT"), None, "Serve /metrics, /healthz and /readyz at this port.",
        LOGS, shown="not served", shared_as="ROOMMOOD_METRICS_PORT",
    )  # fmt: skip
    drain_s: float = row(
        number(0, 300, "S"), 5.0, "Seconds that SIGTERM gives to finish what is under way.",
        LOGS, unit="s", shared_as="ROOMMOOD_DRAIN_S",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PictureSettings(Settings):
    """What decides how a camera's picture looks: for the camera itself and for its preview."""

    source: str = row(
        picture_source(), "0",
        "Webcam (0, /dev/video0), picamera, rtsp://... or http://..., a video file, "
        "a folder of pictures, or simulated.", _WHAT,
        flags=("--source", "-s"), table="camera", is_secret=True,
    )  # fmt: skip
    source_password_file: Path | None = row(
        file_path(), None,
        "File, for its owner only, whose first line is the password of a network camera; the "
        "source then names the user, as in rtsp://USER@HOST/...", _WHAT, table="camera",
    )  # fmt: skip
    source_any_certificate: bool = row(
        switch(), False,
        "Take whatever certificate the camera shows over https, also one of its own making.",
        _WHAT, table="camera",
    )  # fmt: skip
    rate_hz: float | None = row(
        number(0, 240, "HZ", above=True), None, "Frames captured a second.", _PICTURE,
        unit="1/s", shown="what the source gives", table="camera",
    )  # fmt: skip
    width: int | None = row(
        whole(16, 3840, "PIXELS"), None,
        "Pixels; with --height. Asked of the source; larger pictures are shrunk.", _PICTURE,
        unit="pixels", shown="what the source gives", table="camera",
    )  # fmt: skip
    height: int | None = row(
        whole(16, 3840, "PIXELS"), None, "Pixels; with --width.", _PICTURE,
        unit="pixels", shown="what the source gives", table="camera",
    )  # fmt: skip
    rotation: int = row(
        choice(0, 90, 180, 270), 0,
        "Degrees clockwise by which the picture must be turned to stand upright.", _PICTURE,
        unit="degrees", table="camera",
    )  # fmt: skip
    masks: tuple[tuple[tuple[float, float], ...], ...] = row(
        several(polygon(), 0, 100), (),
        "Area that is made grey before a picture leaves the camera: x, y as fractions of width "
        "and height, from the top left; may be given again, and adds up.", _PICTURE,
        flags=("--mask",), table="camera", adds_up=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CameraSettings(PictureSettings, Component):
    """A camera node."""

    TABLE: ClassVar[str] = "camera"

    name: str = row(
        camera_name(), NEEDED, "Name of this camera, unique in the site: a-z, 0-9, _ and -.",
        _WHAT, shown="that of the key file",
    )  # fmt: skip
    room: str = row(
        room_name(), NEEDED, "Room that it watches.", _WHAT, shown="that of the key file"
    )
    loop: bool = row(
        switch(), True, "Play files and folders over and over, or once.", _WHAT,
        shown="loop",
    )  # fmt: skip
    workers: tuple[str, ...] = row(
        several(reached_address(), 1, 8), (),
        "host:port of an inference worker; may be given again. One is enough: the camera learns "
        "of the others.", _WHERE, shown="127.0.0.1:5701", flags=("--worker", "-w"),
    )  # fmt: skip
    discover: bool = row(
        switch(), False,
        "Find workers that announce themselves on the local network; keys decide which are used.",
        _WHERE,
    )  # fmt: skip
    jpeg_quality: int = row(
        whole(10, 95), 80,
        "JPEG that the source already delivers passes through as it is.", _PICTURE,
    )  # fmt: skip
    quiet_hours: tuple[str, ...] = row(
        several(any_text(), 0, 50), (),
        'Local time in which the camera is off, for example "22:00-06:30"; may be given again, and '
        "adds up. "
        "Off, too, until its machine's clock is set, for ten minutes after that's start.",
        _PICTURE, adds_up=True,
    )  # fmt: skip

    @classmethod
    def known_otherwise(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Name and room, where the keys are a file: it is for one camera in one room."""
        from roommood.shared.security.keys import camera_bundle

        bundle = camera_bundle(values["keys"])
        return {"name": bundle.camera, "room": bundle.room} if bundle else {}

    @property
    def known_workers(self) -> list[str]:
        """The configured addresses; none where workers are discovered and none was named."""
        unnamed = [] if self.discover else [DEFAULT_FRAMES_ADDRESS]
        return list(self.workers) or unnamed


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(Component):
    """An inference worker."""

    TABLE: ClassVar[str] = "worker"

    bind: str = row(
        address(), DEFAULT_FRAMES_ADDRESS, "host:port at which cameras reach this worker.",
        _NETWORK,
    )  # fmt: skip
    advertise: str | None = row(
        address(), None, "host:port that cameras are told, if it is not the bound one.",
        _NETWORK, shown="as bound",
    )  # fmt: skip
    announce: bool = row(
        switch(), False,
        "Tell the local network where this worker is, for cameras with --discover.", _NETWORK,
    )  # fmt: skip
    aggregators: tuple[str, ...] = row(
        several(reached_address(), 1, 8), (DEFAULT_REPORTS_ADDRESS,),
        "host:port of an aggregator; may be given again.", _NETWORK, flags=("--aggregator", "-a"),
    )  # fmt: skip
    detector: str = row(
        any_text(), "",
        "A YuNet-style ONNX file, a model's name, haar, or haar:scale=1.1,neighbours=3.",
        _MODELS, shown="the shipped one",
    )  # fmt: skip
    classifier: str = row(
        any_text(), "", "ONNX file of an expression classifier, or a model's name.", _MODELS,
        shown="the shipped one",
    )  # fmt: skip
    input_size: int = row(
        whole(96, 3840, "PIXELS"), 640,
        "Pixels of the longer side at which faces are looked for; less is faster.", _MODELS,
        unit="pixels",
    )  # fmt: skip
    provider: str = row(
        any_text(), "cpu",
        "Where the models run: cpu, openvino, openvino:gpu, cuda, cuda:1, ...; see "
        "docs/accelerators.md.", _MODELS,
    )  # fmt: skip
    threads: int = row(whole(1, 64), 1, "Compute threads, each with a core's worth of work.", _WORK)
    processes: int = row(
        whole(0, 64), 1,
        "Worker processes, each at the next port; the dead and the hung are replaced. 0: one for "
        "each core that this program may use.", _WORK,
    )  # fmt: skip
    instance: int = row(
        whole(1, 1024), 1,
        "The n-th worker of a machine listens n - 1 ports above the one given.", _NETWORK,
    )  # fmt: skip
    rate_hz: float = row(
        number(0.2, 240, "HZ"), 5.0,
        "Frames a second that a camera is asked for while it shows faces, over all its workers.",
        _WORK, unit="Hz",
    )  # fmt: skip
    empty_rate_hz: float = row(
        number(0.2, 240, "HZ"), 2.0,
        "The same while it shows none; at most the former.", _WORK, unit="Hz",
    )  # fmt: skip
    repeat_ms: float = row(
        number(0, 2_000, "MS"), 2_000.0,
        "Milliseconds for which a camera's last picture without faces stands for those that look "
        "the same, which are not analysed; 0: every picture is.", _WORK, unit="ms",
    )  # fmt: skip
    max_age_ms: float = row(
        number(50, 60_000, "MS"), 2_000.0,
        "Milliseconds since capture after which a frame is refused, not analysed.", _WORK,
        unit="ms",
    )  # fmt: skip
    min_frame_ms: float = row(
        number(0, 60_000, "MS"), 0.0,
        "Milliseconds that a thread spends at least on each frame, to leave the processor to "
        "others.", _WORK, unit="ms",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AggregatorSettings(Component):
    """An aggregator."""

    TABLE: ClassVar[str] = "aggregator"

    bind: str = row(
        address(), DEFAULT_REPORTS_ADDRESS,
        "host:port at which workers reach this aggregator.", _NETWORK,
    )  # fmt: skip
    redis_url: str = row(
        redis_address(), DEFAULT_REDIS_URL,
        "redis://USER@HOST:PORT/0, rediss://...?ca_file=FILE (TLS) or unix://PATH; "
        "?cluster=true for a Cluster, redis+sentinel://HOST,HOST/SERVICE/0 for sentinels; "
        "never with a password.", _REDIS,
        flags=("--redis",), shared_as="ROOMMOOD_REDIS_URL", falls_back=("redis", "url"),
        is_secret=True,
    )  # fmt: skip
    redis_password_file: Path | None = row(
        file_path(), None,
        "File, for its owner only, whose first line is the password.", _REDIS,
        shared_as="ROOMMOOD_REDIS_PASSWORD_FILE", falls_back=("redis", "password_file"),
    )  # fmt: skip
    min_people: int = row(
        whole(1, 64), 1,
        "Faces that a frame must show for its expressions to be written at all.", _PRIVACY,
    )  # fmt: skip
