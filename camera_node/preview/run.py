"""The preview from start to end: it serves until told to stop, or until nobody looks any more."""

import select
from typing import Final

import typer

from roommood.camera_node.preview.server import Access, serve
from roommood.camera_node.preview.viewer import FindFaces, Preview
from roommood.shared.process.runtime import shutdown_on_signals
from roommood.shared.process.settings import PictureSettings

_TICK_S: Final = 1.0


def run_preview(
    settings: PictureSettings, access: Access, find_faces: FindFaces | None, idle_s: float
) -> int:
    """Returns the exit code. Raises SourceError and ConfigError where it cannot start."""
    _ = access.password
    preview = Preview(settings, find_faces)
    with shutdown_on_signals() as shutdown:
        preview.start()
        try:
            port, stop = serve(access, preview)
            host = "localhost" if access.host in ("127.0.0.1", "::1", "") else access.host
            typer.echo(f"{preview.description}: http://{host}:{port}/ shows what it sees.")
            typer.echo("Nothing is stored. Ctrl+C ends it.")
            while not shutdown.requested and preview.idle_s < idle_s:
                select.select([shutdown.waker], [], [], _TICK_S)
                preview.rest_if_idle()
            if not shutdown.requested:
                typer.echo(f"Nobody has looked for {idle_s / 60:g} minutes: ended.")
            stop()
        finally:
            preview.stop()
    return shutdown.forced_exit_code if shutdown.forced else 0
