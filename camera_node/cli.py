"""The `camera-node` command, also mounted as `roommood camera`."""

import logging
import sys

import typer

from roommood.camera_node.preview import cli as preview_cli
from roommood.shared.process.command import VersionOption, new_app, run_app
from roommood.shared.process.settings import CameraSettings
from roommood.shared.process.settings.options import with_settings

app = new_app()


@app.callback(invoke_without_command=True)
@with_settings(CameraSettings)
def camera(
    context: typer.Context, settings: CameraSettings | None, version: VersionOption = False
) -> None:
    """Watch a room: capture frames and send the newest whenever a worker asks.

    Example: `camera-node --name kitchen-1 --room kitchen --source 0 --worker desk:5701`
    """
    if settings is None:
        preview_cli.refuse_options_before(context)
        return
    from roommood.shared.process import logs

    logs.setup(settings.log_format, settings.log_level, f"camera {settings.name}")
    _warn_of_password_in(settings.source)

    from roommood.camera_node.node import CameraNode

    raise typer.Exit(CameraNode(settings).run())


def _warn_of_password_in(source: str) -> None:
    from roommood.shared.security.secret_urls import holds_password

    if holds_password(source) and any(source in argument for argument in sys.argv):
        logging.getLogger("camera_node").warning(
            "every user of this machine can read the password on this command line: "
            "use --source-password-file"
        )


def main() -> None:
    preview_cli.mount(app)
    run_app(app)
