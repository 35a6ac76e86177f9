"""`roommood-train`: make the shipped models again, or your own.

Heavy imports stand inside the commands, so that --help is instant.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

T = TypeVar("T")
Report = Callable[[int, float, float], None]

app = typer.Typer(no_args_is_help=True, help="Train, evaluate and export roommood's models.")

Data = Annotated[Path, typer.Option(help="Folder with FER2013Train/ and FER2013Valid/.")]
Checkpoint = Annotated[Path, typer.Option(help="The run's file: written after each epoch.")]
HeldOut = Annotated[int, typer.Option(min=1, max=50, help="Percent of Train never trained on.")]


@app.command()
def train(
    *,
    data: Data,
    checkpoint: Checkpoint,
    size: Annotated[str, typer.Option(help="student (shipped) or teacher.")] = "student",
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    peak_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 3e-3,
    balance: Annotated[
        float, typer.Option(min=0, max=1, help="1: draw each expression alike.")
    ] = 0.3,
    mixup: Annotated[float, typer.Option(min=0, help="0: never mix two faces.")] = 0.3,
    strength: Annotated[float, typer.Option(min=0, help="How often faces are distorted.")] = 1.0,
    patience: Annotated[int, typer.Option(min=0, help="Stop after epochs without gain.")] = 0,
    seed: int = 1,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    held_out: HeldOut = 5,
    start_from: Annotated[Path | None, typer.Option(help="Checkpoint to begin with.")] = None,
    teacher: Annotated[list[Path] | None, typer.Option(help="Checkpoint to learn from.")] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="More faces, for teachers to label.")
    ] = None,
) -> None:
    """Train an expression classifier on votes; resumes where the checkpoint stands."""
    from training.augment import Policy
    from training.expression_net import STUDENT, TEACHER
    from training.expression_train import Run, TrainSettings

    settings = TrainSettings(
        data=data,
        checkpoint=checkpoint,
        shape=_one_of(size, {"student": STUDENT, "teacher": TEACHER}),
        epochs=epochs,
        peak_rate=peak_rate,
        balance=balance,
        mixup=mixup,
        policy=Policy().scaled(strength),
        patience=patience,
        seed=seed,
        threads=threads,
        held_out_percent=held_out,
        start_from=start_from,
        teachers=tuple(teacher or ()),
        unlabelled=unlabelled,
    )
    _with_progress_bar(Run(settings).train, epochs)


@app.command()
def evaluate(
    *,
    model: Annotated[Path, typer.Argument(help="An exported .onnx file.")],
    split: Annotated[Path, typer.Option(help="Folder like FER2013Valid.")],
    report: Annotated[
        Path | None, typer.Option(help="Folder for the JSON, CSV and picture.")
    ] = None,
) -> None:
    """Measure an exported classifier: accuracy, calibration, by size and crop, time."""
    import json
    from dataclasses import asdict

    from training.expression_evaluate import evaluate as measure
    from training.expression_evaluate import write_report

    found = measure(model, split)
    if report:
        write_report(found, report)
    typer.echo(json.dumps(asdict(found), indent=2))


@app.command()
def export(
    *,
    data: Data,
    checkpoint: Checkpoint,
    model: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    model_id: Annotated[str, typer.Option(help="Travels with every result.")] = "expression-1",
    held_out: HeldOut = 5,
    recipe: Annotated[Path | None, typer.Option(help="TOML; also writes a model card.")] = None,
) -> None:
    """Write an ONNX file with its contract: labels, input, crop, calibration, accuracy."""
    from training.expression_export import ExportSettings, summary
    from training.expression_export import export as write

    settings = ExportSettings(checkpoint, data, model, model_id, held_out, recipe=recipe)
    for name, value in summary(write(settings)).items():
        typer.echo(f"{name}: {value}")


@app.command()
def measure_crop(
    *,
    split: Annotated[Path, typer.Option(help="Folder like FER2013Valid.")],
    detector: Annotated[
        Path | None, typer.Option(help="YuNet-like .onnx; without it, Haar.")
    ] = None,
) -> None:
    """Measure how a detector's box relates to the crop that the classifier was trained on."""
    from training.expression_crop import haar, measure_recipes, tight
    from training.ferplus import read_split

    detect = tight(detector) if detector else haar()
    for recipe in measure_recipes(detect, read_split(split).pictures[:1000]):
        typer.echo(recipe)


def _with_progress_bar(train: Callable[[Report], None], epochs: int) -> None:
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("training", total=epochs)

        def report(epoch: int, loss: float, accuracy: float) -> None:
            bar.update(task, completed=epoch)
            bar.console.print(f"epoch {epoch}/{epochs}  loss {loss:.4f}  held-out {accuracy:.2%}")

        train(report)


def _one_of(name: str, choices: Mapping[str, T]) -> T:
    if name not in choices:
        raise typer.BadParameter(f"{name} is none of {', '.join(choices)}")
    return choices[name]


if __name__ == "__main__":
    app()
