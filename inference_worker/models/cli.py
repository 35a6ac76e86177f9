"""`roommood models`: what models there are, fetching them, checking them, measuring them."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from roommood.shared.process.command import new_app

_OUTPUT: Final = "Output"

app = new_app(
    no_args_is_help=True,
    help="List, fetch, check and measure face detectors and expression classifiers.",
)

JsonOption = Annotated[
    bool,
    typer.Option("--json", help="One JSON object, for programs.", rich_help_panel=_OUTPUT),
]
FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="ONNX file, or the name of a model that is here.")
]


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models: shipped, in the cache, or to be had with `pull`.

    Example: `roommood models list`
    """
    from roommood.inference_worker.models.store import known_models
    from roommood.inference_worker.models.view import models_table

    if as_json:
        _print_json({"models": [_plain(model) for model in known_models()]})
    else:
        _print(models_table(known_models()))


@app.command()
def info(file: FileArgument, as_json: JsonOption = False) -> None:
    """Tell a model's contract, metadata, size and parameters.

    Example: `roommood models info expression`
    """
    from roommood.inference_worker.models.info import model_info
    from roommood.inference_worker.models.store import resolve
    from roommood.inference_worker.models.view import info_table

    info = model_info(resolve(file))
    if as_json:
        _print_json(_plain(info))
    else:
        _print(info_table(info))


@app.command()
def pull(name: Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.")]) -> None:
    """Fetch a public model into your cache; nothing else ever downloads one.

    Its size and SHA-256 are pinned. A download that broke off goes on where it stopped.

    Example: `roommood models pull yunet-n`
    """
    from roommood.inference_worker.models import store as model_store
    from roommood.inference_worker.models.registry import find_pinned

    model = find_pinned(name)
    typer.echo(f"{name}: {model.size:,} bytes, licence {model.licence}, from {model.url}", err=True)
    with _progress(f"pulling {name}", in_bytes=True) as progress:
        path, fetched = model_store.pull(name, progress)
    option = "--detector" if model.task == "face" else "--classifier"
    typer.echo(f"{'fetched' if fetched else 'already here'}: {path}")
    typer.echo(f"use it with: roommood worker {option} {path}")


@app.command()
def verify(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="A name from `list`, or an ONNX file.", show_default="all here"
        ),
    ] = None,
) -> None:
    """Check the SHA-256 and the self-test of one model, or of all that are here; of a file of your
    own, that it does what its contract says.

    Exit code 1 if one fails.

    Example: `roommood models verify`
    """
    from roommood.inference_worker.models.store import find_model, known_models
    from roommood.inference_worker.models.store import verify as verify_model
    from roommood.shared.errors import ModelError

    models = [find_model(name)] if name else [m for m in known_models() if m.state != "available"]
    failed = 0
    for model in models:
        try:
            if model.state == "available":
                raise ModelError(f"not here yet: roommood models pull {model.name}")
            typer.echo(f"ok    {model.name}: {verify_model(model)}")
        except ModelError as error:
            failed += 1
            typer.echo(f"FAIL  {model.name}: {error}", err=True)
    raise typer.Exit(1 if failed else 0)


@app.command()
def evaluate(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="ONNX file, a model's name from `list`, or haar."),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR", exists=True, file_okay=False,
            help="FER+ (FER2013Test/ with label.csv), labelled photographs (images/ and "
            "labels.csv) or VOC (images/ and annotations/).",
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            metavar="train|valid|test", help="Of FER+ data.",
            show_default="test if there, else valid",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only the first N pictures.", show_default="all"),
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure a classifier on FER+ data or labelled photographs, or a face detector on
    photographs with boxes.

    Example: `roommood models evaluate expression --data DIR --split valid --json`
    """
    from roommood.inference_worker.evaluation.model_evaluation import evaluate_model
    from roommood.inference_worker.models.view import figures_table

    with _progress(f"evaluating {file}") as progress:
        figures = evaluate_model(file, data, split, limit=limit, progress=progress)
    if as_json:
        _print_json(_plain(figures))
    else:
        _print(figures_table(figures))


@contextmanager
def _progress(title: str, *, in_bytes: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where that is a terminal; else nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if in_bytes else TextColumn("{task.completed}/{task.total}")
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    off = not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=off) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain(value: Any) -> dict[str, Any]:
    return {key: str(v) if isinstance(v, Path) else v for key, v in asdict(value).items()}


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _print(table: object) -> None:
    from rich.console import Console

    Console().print(table)
