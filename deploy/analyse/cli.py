"""The `roommood analyse` command."""

from pathlib import Path
from typing import Annotated

import typer


def analyse(
    file: Annotated[
        Path, typer.Argument(help="A video file.", exists=True, dir_okay=False, show_default=False)
    ],
    csv: Annotated[
        bool, typer.Option("--csv", help="Comma-separated values instead of a table.")
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
    """Tell the people and expressions shown in a video, second by second; needs no Redis.

    As fast as it goes, on this machine alone; nothing is kept of the pictures.

    Example: `roommood analyse party.mp4 --csv > party.csv`
    """
    if rotation not in (0, 90, 180, 270):
        raise typer.BadParameter("use 0, 90, 180 or 270", param_hint="--rotation")
    from roommood.deploy.analyse.run import run_analysis
    from roommood.deploy.analyse.table import as_csv, as_table
    from roommood.inference_worker.vision.analysis import open_analyzer
    from roommood.shared.process.progress import bar

    analyzer = open_analyzer(detector, classifier)
    with bar(file.name) as progress:
        seconds = run_analysis(file, analyzer, rate_hz, rotation, progress)
    if csv:
        typer.echo(as_csv(seconds), nl=False)
    else:
        from rich.console import Console

        Console().print(as_table(seconds))
