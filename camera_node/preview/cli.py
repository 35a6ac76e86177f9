"""`camera preview`: a small page of what the camera sees, to aim it and to draw masks."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from roommood.shared.errors import ConfigError
from roommood.shared.process.command import ConfigOption, LogLevelOption

if TYPE_CHECKING:
    from roommood.camera_node.preview.viewer import FindFaces

# Gives what finds faces, or None where that is not installed.
FaceFinder = Callable[[], "FindFaces | None"]

_WHAT: Final = "What it shows"
_WHO: Final = "Who may look"


def nobody_finds_faces() -> None:
    """For a machine that only has a camera."""


def refuse_options_before(context: typer.Context) -> None:
    """Raises ConfigError for options of the camera that stand before `preview`, since they would
    not count."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"{options}: give options of the preview after the word preview")


def mount(app: typer.Typer, face_finder: FaceFinder = nobody_finds_faces) -> None:
    """Add the command to the camera's own app."""

    @app.command()
    def preview(
        source: Annotated[
            str | None,
            typer.Option(
                "--source", "-s", envvar="ROOMMOOD_CAMERA_SOURCE", rich_help_panel=_WHAT,
                help="As for the camera itself.", show_default="0, or from the settings file",
            ),
        ] = None,
        width: Annotated[
            int | None,
            typer.Option(help="Pixels; with --height.", rich_help_panel=_WHAT, show_default="none"),
        ] = None,
        height: Annotated[
            int | None,
            typer.Option(help="Pixels; with --width.", rich_help_panel=_WHAT, show_default="none"),
        ] = None,
        rotation: Annotated[
            int | None,
            typer.Option(
                metavar="0|90|180|270", rich_help_panel=_WHAT, show_default="0",
                help="Degrees clockwise by which the picture must be turned to stand upright.",
            ),
        ] = None,
        save: Annotated[
            bool,
            typer.Option(
                "--save", rich_help_panel=_WHAT,
                help="Let the page save masks into the file given with --config.",
            ),
        ] = False,
        bind: Annotated[
            str,
            typer.Option(metavar="HOST:PORT", rich_help_panel=_WHO, help="Where it is served."),
        ] = "127.0.0.1:9705",
        password_file: Annotated[
            Path | None,
            typer.Option(
                rich_help_panel=_WHO, show_default="none",
                help="File (mode 0600) with the password that the page asks for.",
            ),
        ] = None,
        idle_min: Annotated[
            float,
            typer.Option(
                "--idle-min", min=0.1, max=1440.0, metavar="MIN", rich_help_panel=_WHO,
                help="End by itself when nobody has looked for so many minutes.",
            ),
        ] = 10.0,
        config: ConfigOption = None,
        log_level: LogLevelOption = None,
    ) -> None:  # fmt: skip
        """Show what the camera sees on a small page, to aim it and to draw masks with the mouse.

        Nothing is stored. From another machine: `ssh -L 9705:127.0.0.1:9705 PI`, then open
        http://localhost:9705 there.

        Example: `roommood camera preview --source 0 --config roommood.toml --save`
        """
        from roommood.camera_node.preview.server import Access
        from roommood.shared.process import logs
        from roommood.shared.process.settings import CameraSettings, load

        if save and config is None:
            raise ConfigError("--save needs the file to save into: give --config")
        logs.setup("text", log_level or "warning", "preview")
        given = {"source": source, "width": width, "height": height, "rotation": rotation}
        nameless = {"name": "preview", "room": "preview"}
        settings = load(CameraSettings, config, {**given, **nameless})
        access = Access(bind, password_file, config if save else None)

        from roommood.camera_node.preview.run import run_preview

        raise typer.Exit(run_preview(settings, access, face_finder(), idle_min * 60))
