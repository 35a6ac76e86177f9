"""The `camera-node` command, also mounted as `roommood camera`."""

from typing import Annotated, Final

import typer

from roommood.camera_node.preview import cli as preview_cli
from roommood.shared.process.command import (
    ConfigOption,
    DrainOption,
    InsecureOption,
    KeysOption,
    LogFormatOption,
    LogLevelOption,
    MetricsHostOption,
    MetricsPortOption,
    VersionOption,
    new_app,
    run_app,
)

_WHAT: Final = "What it watches"
_WHERE: Final = "Where frames go"
_PICTURE: Final = "Picture"

app = new_app()


@app.callback(invoke_without_command=True)
def camera(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_CAMERA_NAME",
            help="Name of this camera, unique in the site: a-z, 0-9, _ and -.",
            show_default="from the settings file",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    room: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_CAMERA_ROOM",
            help="Room that it watches.",
            show_default="from the settings file",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            "-s",
            envvar="ROOMMOOD_CAMERA_SOURCE",
            help="Webcam (0, /dev/video0), picamera, rtsp://... or http://..., a video file, "
            "a folder of pictures, or simulated.",
            show_default="0",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    loop: Annotated[
        bool | None,
        typer.Option(
            help="Play files and folders over and over, or once.",
            show_default="loop",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    discover: Annotated[
        bool | None,
        typer.Option(
            "--discover",
            envvar="ROOMMOOD_CAMERA_DISCOVER",
            help="Find workers that announce themselves on the local network; keys decide which "
            "are used.",
            show_default="off",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    worker: Annotated[
        list[str] | None,
        typer.Option(
            "--worker",
            "-w",
            envvar="ROOMMOOD_CAMERA_WORKERS",
            help="host:port of an inference worker; may be given again. One is enough: the camera "
            "learns of the others.",
            show_default="127.0.0.1:5701",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    rate_hz: Annotated[
        float | None,
        typer.Option(
            "--rate-hz",
            help="Frames captured a second.",
            show_default="what the source gives",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="Pixels; with --height. Asked of the source; larger pictures are shrunk.",
            show_default="what the source gives",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(
            help="Pixels; with --width.",
            show_default="what the source gives",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    jpeg_quality: Annotated[
        int | None,
        typer.Option(
            help="10 to 95. JPEG that the source already delivers passes through as it is.",
            show_default="80",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    rotation: Annotated[
        int | None,
        typer.Option(
            metavar="0|90|180|270",
            help="Degrees clockwise by which the picture must be turned to stand upright.",
            show_default="0",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    quiet_hours: Annotated[
        list[str] | None,
        typer.Option(
            help='Local time in which the camera is off, for example "22:00-06:30"; may be given '
            "again. Privacy masks are set in the settings file.",
            show_default="none",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    keys: KeysOption = None,
    insecure: InsecureOption = None,
    drain_s: DrainOption = None,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = None,
    config: ConfigOption = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
    version: VersionOption = False,
) -> None:
    """Watch a room: capture frames and send the newest whenever a worker asks.

    Example: `camera-node --name kitchen-1 --room kitchen --source 0 --worker desk:5701`
    """
    if context.invoked_subcommand:
        preview_cli.refuse_options_before(context)
        return
    given = {
        "name": name,
        "room": room,
        "source": source,
        "loop": loop,
        "workers": worker,
        "discover": discover,
        "rate_hz": rate_hz,
        "width": width,
        "height": height,
        "jpeg_quality": jpeg_quality,
        "rotation": rotation,
        "quiet_hours": quiet_hours,
        "keys": keys,
        "insecure": insecure,
        "drain_s": drain_s,
        "metrics_port": metrics_port,
        "metrics_host": metrics_host,
        "log_format": log_format,
        "log_level": log_level,
    }
    from roommood.shared.process import logs
    from roommood.shared.process.settings import CameraSettings, load

    settings = load(CameraSettings, config, given)
    logs.setup(settings.log_format, settings.log_level, f"camera {settings.name}")

    from roommood.camera_node.node import CameraNode

    raise typer.Exit(CameraNode(settings).run())


def main() -> None:
    preview_cli.mount(app)
    run_app(app)
