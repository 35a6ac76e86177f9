"""`collect` and `import`: where training pictures come from."""

from pathlib import Path
from typing import Annotated

import typer

from roommood.shared.counted import counted
from roommood.shared.process.command import output_folder

Out = Annotated[
    Path, typer.Option(help="New folder, in the layout of FER+.", callback=output_folder)
]

imports = typer.Typer(
    no_args_is_help=True, help="Public sets, or folders by class, into what `train` reads."
)


def collect(
    folder: Annotated[
        Path, typer.Argument(help="Where <expression>/*.jpg are kept.", callback=output_folder)
    ],
    *,
    source: Annotated[
        str, typer.Option(help="0, /dev/video0, picamera, rtsp://..., a video, pictures.")
    ] = "0",
    label: Annotated[
        str | None,
        typer.Option(help="Keep every face under this expression.", show_default="ask for each"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Faces to keep, with --label.")] = 200,
    rate: Annotated[
        float, typer.Option(min=0.01, max=60, help="Pictures a second, of a camera or video.")
    ] = 2.0,
    min_face: Annotated[
        float, typer.Option(min=16, help="Leave out faces smaller than this, in pixels.")
    ] = 48.0,
    purpose: Annotated[
        str, typer.Option(help="What you told the people; stands in CONSENT.txt.")
    ] = "training and testing an expression classifier for roommood",
    i_have_consent: Annotated[
        bool, typer.Option("--i-have-consent", help="All who may be seen have agreed: do not ask.")
    ] = False,
    detector: Annotated[
        str, typer.Option(help="haar, or a YuNet-style .onnx.", show_default="the shipped one")
    ] = "",
) -> None:
    """Collect labelled face crops from a camera or pictures, with consent.

    With --label: act one expression, and every face found is kept under it. Without: each face
    is shown in the terminal and a key says what it shows.

    Example: `roommood-train collect my-faces --source 0 --label happiness --limit 100`
    """
    from roommood.training.collect.run import CollectOptions
    from roommood.training.collect.run import collect as run

    options = CollectOptions(
        folder, source, label, limit, rate, min_face, purpose, i_have_consent, detector
    )
    run(options)


@imports.command()
def fer2013(
    *,
    pixels: Annotated[Path, typer.Option(help="Kaggle's fer2013.csv or icml_face_data.csv.")],
    votes: Annotated[Path, typer.Option(help="Microsoft FER+'s fer2013new.csv.")],
    out: Out,
) -> None:
    """FER2013's pictures under FER+'s votes.

    Example: `roommood-train import fer2013 --pixels fer2013.csv --votes fer2013new.csv --out DIR`
    """
    from roommood.shared.process.progress import bar
    from roommood.training.collect.imports import import_fer2013

    with bar("importing") as progress:
        counts = import_fer2013(pixels, votes, out, progress)
    _tell(out, counts)


@imports.command()
def folders(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder with <expression>/, or train/<expression>/ and test/<expression>/."
        ),
    ],
    out: Out,
    valid_percent: Annotated[
        int, typer.Option(min=1, max=50, help="Part that is kept aside as FER2013Valid.")
    ] = 10,
) -> None:
    """Tight face crops in one folder per expression, as 10 votes each.

    A set that comes in parts (train/, valid/, test/) keeps them: what is to be learnt from, and
    what it is judged by.

    For whole photographs use `collect --source FOLDER --label EXPRESSION`, which finds the faces.

    Example: `roommood-train import folders my-faces --out my-ferplus`
    """
    from roommood.shared.process.progress import bar
    from roommood.training.collect.imports import import_folders

    with bar("importing") as progress:
        counts = import_folders(source, out, valid_percent, progress)
    _tell(out, {split: sum(by_expression.values()) for split, by_expression in counts.items()})
    _tell_each(counts)


def _tell_each(counts: dict[str, dict[str, int]]) -> None:
    """Also what has no picture: a folder whose files are of another kind shows here."""
    typer.echo(f"{'':<10}" + "".join(f"{split:>14}" for split in counts))
    for name in next(iter(counts.values())):
        typer.echo(f"{name:<10}" + "".join(f"{of[name]:>14}" for of in counts.values()))


def _tell(out: Path, counts: dict[str, int]) -> None:
    for name, number in counts.items():
        typer.echo(f"{out / name}: {counted(number, 'picture')}")
