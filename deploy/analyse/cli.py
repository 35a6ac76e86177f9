"""The `roommood analyse` command."""

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roommood.aggregator.terminal.common import print_table
from roommood.deploy.analyse.lines import printable
from roommood.shared.errors import ConfigError, PictureError
from roommood.shared.security.secret_urls import shown

if TYPE_CHECKING:
    from roommood.inference_worker.vision.analysis import Analyzer


class Form(Enum):
    """How it is printed."""

    TABLE = auto()
    CSV = auto()
    JSON = auto()


def analyse(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="A video file, or pictures and folders of them.",
            show_default=False,
        ),
    ],
    csv: Annotated[
        bool, typer.Option("--csv", help="Comma-separated values instead of a table.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="A JSON object on a line for each second or picture.")
    ] = False,
    rate_hz: Annotated[
        float,
        typer.Option(
            "--rate-hz", min=0.1, max=240.0, metavar="HZ",
            help="Frames looked at in a second of the video.",
        ),
    ] = 5.0,
    rotation: Annotated[
        int,
        typer.Option(
            metavar="0|90|180|270",
            help="Degrees clockwise by which the picture must be turned to stand upright.",
        ),
    ] = 0,
    detector: Annotated[
        str,
        typer.Option(help="haar, or a YuNet-style ONNX file.", show_default="the shipped one"),
    ] = "",
    classifier: Annotated[
        str,
        typer.Option(
            help="ONNX file of an expression classifier.", show_default="the shipped one"
        ),
    ] = "",
) -> None:  # fmt: skip
    """Tell the people and expressions shown in a video, second by second, or face by face in
    pictures; needs no Redis.

    As fast as it goes, on this machine alone; nothing is kept of the pictures.

    Example: `roommood analyse party.mp4 --csv > party.csv`, or `roommood analyse photos/ --json`
    """
    if rotation not in (0, 90, 180, 270):
        raise typer.BadParameter("use 0, 90, 180 or 270", param_hint="--rotation")
    if csv and json:
        raise ConfigError("--json and --csv: choose one")
    form = Form.CSV if csv else Form.JSON if json else Form.TABLE
    from roommood.deploy.analyse.pictures import files_of, is_picture
    from roommood.inference_worker.vision.analysis import open_analyzer

    _require(paths)
    if len(paths) == 1 and not is_picture(paths[0]):
        _video(paths[0], open_analyzer(detector, classifier), rate_hz, rotation, form)
    else:
        _refuse_videos([path for path in paths if not is_picture(path)])
        files = files_of(paths)
        _pictures(files, open_analyzer(detector, classifier), rotation, form)


def _require(paths: Sequence[Path]) -> None:
    from roommood.deploy.analyse.given import refuse_address

    for path in paths:
        if not path.exists():
            refuse_address(str(path))
            raise ConfigError(f"{shown(str(path))} does not exist")


def _refuse_videos(others: Sequence[Path]) -> None:
    if others:
        raise ConfigError(
            f"{others[0]} is no picture by its ending: "
            "give one video by itself, or pictures and folders of them"
        )


def _video(path: Path, analyzer: "Analyzer", rate_hz: float, rotation: int, form: Form) -> None:
    from roommood.deploy.analyse.run import run_analysis
    from roommood.deploy.analyse.table import as_csv, as_json, as_table
    from roommood.shared.process.progress import bar

    with bar(path.name) as progress:
        seconds = run_analysis(path, analyzer, rate_hz, rotation, progress)
    if form is Form.TABLE:
        print_table(as_table(seconds))
    else:
        _print_lines((as_csv if form is Form.CSV else as_json)(seconds))


def _pictures(files: Sequence[Path], analyzer: "Analyzer", rotation: int, form: Form) -> None:
    """A line is printed as soon as its picture is done, a table in the end.

    Raises PictureError where one could not be used.
    """
    from roommood.deploy.analyse.picture_table import as_csv, as_json, as_table
    from roommood.deploy.analyse.pictures import PictureFaces, faces_of

    unusable = []

    def named() -> Iterator[PictureFaces]:
        for picture in faces_of(files, analyzer, rotation):
            if picture.problem:
                unusable.append(picture)
                typer.echo(f"picture {printable(picture.path)}: {picture.problem}", err=True)
            yield picture

    if form is Form.TABLE:
        print_table(as_table(list(named())))
    else:
        _print_lines((as_csv if form is Form.CSV else as_json)(named()))
    if unusable:
        raise PictureError(f"{len(unusable)} of {len(files)} pictures cannot be used: see above")


def _print_lines(lines: Iterator[str]) -> None:
    for line in lines:
        typer.echo(line, nl=False)
