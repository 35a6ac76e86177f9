"""`camera preview`: a small page of what the camera sees, to aim it and to draw masks."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import PreviewSettings
from roommood.shared.process.settings.options import with_settings

if TYPE_CHECKING:
    from roommood.camera_node.preview.viewer import FindFaces

# Gives what finds faces, or None where that is not installed.
FaceFinder = Callable[[], "FindFaces | None"]


def nobody_finds_faces() -> None:
    """For a machine that only has a camera."""


def refuse_options_before(context: typer.Context) -> None:
    """Raises ConfigError for options of the camera that stand before `preview`, since they would
    not count."""
    sources = (
        (param.opts[0], context.get_parameter_source(param.name or ""))
        for param in context.command.params
    )
    given = [flag for flag, source in sources if source and source.name == "COMMANDLINE"]
    if given:
        options = ", ".join(given)
        raise ConfigError(f"{options}: give options of the preview after the word preview")


def mount(app: typer.Typer, face_finder: FaceFinder = nobody_finds_faces) -> None:
    """Add the command to the camera's own app."""

    @app.command()
    @with_settings(PreviewSettings)
    def preview(settings: PreviewSettings, config: Path | None) -> None:
        """Show what the camera sees on a small page, to aim it and to draw masks with the mouse.

        Nothing is stored. From another machine: `ssh -L 9705:127.0.0.1:9705 PI`, then open
        http://localhost:9705 there.

        Example: `roommood camera preview --source 0 --config roommood.toml --save`
        """
        from roommood.camera_node.preview.server import Access
        from roommood.shared.process import logs

        if settings.save and config is None:
            raise ConfigError("--save needs the file to save into: give --config")
        logs.setup(settings.log_format, settings.log_level, "preview")
        access = Access(settings.bind, settings.password_file, config if settings.save else None)

        from roommood.camera_node.preview.run import run_preview

        raise typer.Exit(run_preview(settings, access, face_finder(), settings.idle_min * 60))
