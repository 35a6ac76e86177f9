"""The `roommood` command: every component and everything around them under one name."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from roommood.aggregator import bridge_cli
from roommood.aggregator.cli import aggregator
from roommood.aggregator.dashboard.cli import dashboard
from roommood.aggregator.terminal import cli as read_cli
from roommood.camera_node import cli as camera_cli
from roommood.camera_node.preview import cli as preview_cli
from roommood.deploy import preview_faces
from roommood.deploy.analyse.cli import analyse
from roommood.deploy.keys import cli as keys_cli
from roommood.deploy.keys import redis_cli
from roommood.deploy.site.cli import deploy as deploy_site
from roommood.inference_worker.cli import worker
from roommood.inference_worker.models import cli as models_cli
from roommood.shared.process.command import VersionOption, new_app, run_app
from roommood.shared.process.settings.tables import refuse_unknown_variables

_START: Final = "Start here"
_COMPONENTS: Final = "Run a component"
_INPUT: Final = "Your own input, instead of simulated cameras"
_MODELS: Final = "Models"
_KEYS: Final = "Who may take part"
_TARGETS: Final = "What to look at, beside this machine"

# The others look for unknown variables together with all else that is wrong with their settings.
WITHOUT_SETTINGS: Final = frozenset({"analyse", "demo", "doctor", "deploy", "keys", "models"})

app = new_app(no_args_is_help=True)


@app.callback()
def roommood(context: typer.Context, version: VersionOption = False) -> None:
    """Cameras watch rooms, a worker finds faces, Redis knows the expression that each room shows.

    Example: `roommood demo`
    """
    if context.invoked_subcommand in WITHOUT_SETTINGS and not {"-h", "--help"} & {*sys.argv}:
        refuse_unknown_variables(os.environ)


@app.command(rich_help_panel=_START)
def demo(
    seconds: Annotated[
        float,
        typer.Option(min=1.0, max=86_400.0, metavar="S", help="How long to watch, in seconds."),
    ] = 20.0,
    keep: Annotated[
        bool, typer.Option("--keep", help="Then go on until Ctrl+C, to be asked questions.")
    ] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve the live page too, and open it.")
    ] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of photographs with faces.", show_default="none",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="A real camera: 0, /dev/video0, picamera or rtsp://...",
            show_default="none", rich_help_panel=_INPUT,
        ),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A video file, in its own time, over and over.",
            show_default="none", rich_help_panel=_INPUT,
        ),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            help="haar, or a YuNet-style ONNX file.", show_default="the shipped one",
            rich_help_panel=_MODELS,
        ),
    ] = "",
    classifier: Annotated[
        str,
        typer.Option(
            help="ONNX file of an expression classifier.", show_default="the shipped one",
            rich_help_panel=_MODELS,
        ),
    ] = "",
) -> None:  # fmt: skip
    """Run the whole pipeline on this computer, with a private Redis, and show the rooms.

    Three simulated cameras in two rooms, one worker, one aggregator: all are processes of their
    own that talk over TCP, and all end with the demo.

    Example: `roommood demo --seconds 60 --camera 0`
    """
    from roommood.deploy.demo.plan import DemoOptions
    from roommood.deploy.demo.run import run_demo

    options = DemoOptions(seconds, pictures, camera, video, keep, detector, classifier, dashboard)
    raise typer.Exit(run_demo(options))


@app.command(rich_help_panel=_START)
def doctor(
    redis: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_REDIS_URL", metavar="URL", help="Redis that must answer.",
            show_default="the usual one, if it is there", rich_help_panel=_TARGETS,
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--redis-password-file", envvar="ROOMMOOD_REDIS_PASSWORD_FILE", show_default="none",
            help="File whose first line is its password.", rich_help_panel=_TARGETS,
        ),
    ] = None,
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Inference worker that must be reachable.",
            show_default="none", rich_help_panel=_TARGETS,
        ),
    ] = None,
    aggregator: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Aggregator that must be reachable.",
            show_default="none", rich_help_panel=_TARGETS,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="Camera, stream, file or folder that must give a picture.",
            show_default="none", rich_help_panel=_TARGETS,
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            envvar="ROOMMOOD_KEYS", metavar="PATH", rich_help_panel=_TARGETS,
            help="Key folder, or a camera's key file, that must be usable.", show_default="none",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Check this machine and say what to do about each finding; exit code 1 if one fails.

    Example: `roommood doctor --worker desk:5701 --source 0`
    """
    from roommood.deploy.doctor.doctor import Targets, run_doctor

    raise typer.Exit(run_doctor(Targets(redis, password_file, worker, aggregator, source, keys)))


for start in (analyse, deploy_site):
    app.command(rich_help_panel=_START)(start)
preview_cli.mount(camera_cli.app, preview_faces.face_finder)
app.add_typer(camera_cli.app, name="camera", rich_help_panel=_COMPONENTS)
for component in (worker, aggregator):
    app.command(rich_help_panel=_COMPONENTS)(component)
read_cli.mount(app)
app.command(rich_help_panel="Look at rooms")(dashboard)
bridge_cli.mount(app)
redis_cli.mount(keys_cli.app)
app.add_typer(keys_cli.app, name="keys", rich_help_panel=_KEYS)
app.add_typer(models_cli.app, name="models", rich_help_panel=_MODELS)


def main() -> None:
    run_app(app)
