"""`roommood-train`: make the shipped models again, or your own.

Heavy imports stand inside the commands, so that --help is instant.
"""

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from roommood.shared.process.command import output_file, output_folder, run_app
from roommood.shared.process.settings.tables import refuse_unknown_variables
from roommood.training.collect import cli as data_cli
from roommood.training.face import cli as face_cli

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
app.command()(data_cli.collect)
app.add_typer(data_cli.imports, name="import")

Data = Annotated[Path, typer.Option(help="Folder with FER2013Train/ and FER2013Valid/.")]
Checkpoint = Annotated[
    Path, typer.Option(help="The run's file: written after each epoch.", callback=output_file)
]
Model = Annotated[Path, typer.Option(help="The .onnx file to write.", callback=output_file)]
HeldOut = Annotated[int, typer.Option(min=1, max=50, help="Percent of Train never trained on.")]

LeaveOut = Annotated[
    Path | None, typer.Option(help="Names of pictures never to learn from, one a line.")
]
Unlabelled = Annotated[Path | None, typer.Option(help="More faces, for teachers to label.")]
NonFaces = Annotated[Path | None, typer.Option(help="Pictures that are no faces, to be unsure of.")]
FirstLabels = Annotated[Path, typer.Option(help="CSV of the labels that FER2013 gave first.")]


@app.callback()
def roommood_train() -> None:
    """Collect pictures; train, evaluate and export the networks; or fine-tune on your own."""
    if not {"-h", "--help"} & {*sys.argv}:
        refuse_unknown_variables(os.environ)


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
    start_from: Annotated[
        Path | None, typer.Option(help="Checkpoint or exported .onnx to begin with.")
    ] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Checkpoint or .onnx to learn from; may be repeated.")
    ] = None,
    teacher_share: Annotated[
        float, typer.Option(min=0, max=0.95, help="Part of the target that teachers give.")
    ] = 0.7,
    unlabelled: Unlabelled = None,
    non_faces: NonFaces = None,
    leave_out: LeaveOut = None,
    first_labels: Annotated[
        Path | None, typer.Option(help="CSV of the labels that FER2013 gave first.")
    ] = None,
) -> None:
    """Train an expression classifier on votes; the same command again resumes.

    Example: `roommood-train train --data ferplus --checkpoint own.pt --epochs 18 --patience 5`
    """
    from roommood.shared.process.progress import bar
    from roommood.training.expression.augment import Policy
    from roommood.training.expression.net import STUDENT, TEACHER
    from roommood.training.expression.train import Run, TrainSettings, load_lesson

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
        teacher_share=teacher_share,
        unlabelled=unlabelled,
        non_faces=non_faces,
        leave_out=leave_out,
        first_labels=first_labels,
    )
    with bar("reading pictures") as progress:
        lesson = load_lesson(settings, progress)
    with bar("training") as progress:
        run = Run(settings, lesson)
        run.train(_tell_epoch, progress)
    typer.echo(f"done: held-out {run.best:.2%} at epoch {run.best_epoch}, kept in {checkpoint}")


@app.command()
def distil(
    *,
    data: Data,
    folder: Annotated[
        Path,
        typer.Option(help="Takes the checkpoints of teachers and student.", callback=output_folder),
    ],
    first_labels: FirstLabels,
    leave_out: LeaveOut = None,
    unlabelled: Unlabelled = None,
    non_faces: NonFaces = None,
    held_out: HeldOut = 5,
    teacher_epochs: Annotated[int, typer.Option(min=1)] = 100,
    student_epochs: Annotated[int, typer.Option(min=1)] = 120,
    minutes: Annotated[float, typer.Option(min=0.1, help="End sooner, by the clock.")] = math.inf,
    only: Annotated[
        list[str] | None, typer.Option(help="Train this network alone; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="cuda, or cpu, which needs days.")] = "cuda",
    seed: int = 1,
) -> None:
    """Train large teachers on a GPU, then the shipped shape from them, in minutes.

    Example: `roommood-train distil --data ferplus --folder nets --first-labels first-labels.csv`
    """
    from roommood.training.expression.distil_run import DistilSettings
    from roommood.training.expression.distil_run import distil as run

    settings = DistilSettings(
        data,
        folder,
        first_labels,
        leave_out,
        unlabelled,
        non_faces,
        held_out,
        teacher_epochs,
        student_epochs,
        minutes * 60,
        device,
        tuple(only or ()),
        seed=seed,
    )
    for path in run(settings, _tell_stage):
        typer.echo(f"done: {path}")


@app.command()
def fine_tune(
    pictures: Annotated[Path, typer.Argument(help="Folder that `collect` wrote, or like it.")],
    *,
    checkpoint: Checkpoint,
    model: Model,
    model_id: Annotated[str, typer.Option(help="Travels with every result.")] = "expression-own",
    start_from: Annotated[
        Path | None,
        typer.Option(help="Checkpoint or exported .onnx.", show_default="the shipped classifier"),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin with random weights.")
    ] = False,
    base: Annotated[
        Path | None, typer.Option(help="FER+ folder, to learn from and to measure on as well.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 20,
    patience: Annotated[int, typer.Option(min=1, help="Stop after epochs without gain.")] = 5,
    peak_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 5e-4,
    least: Annotated[
        int, typer.Option(min=3, help="Pictures of each expression that are due.")
    ] = 20,
    seed: int = 1,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Fit the classifier to your own pictures, and tell how much better or worse it became.

    Part of them, whole sessions where there are enough, teaches nothing and is what it is judged
    by. The same command again resumes.

    Example: `roommood-train fine-tune my-faces --checkpoint own.pt --model own.onnx`
    """
    from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
    from roommood.training.expression.fine_tune import FineTuneSettings
    from roommood.training.expression.fine_tune_run import run

    start = None if from_scratch else start_from or SHIPPED_EXPRESSION
    settings = FineTuneSettings(
        pictures, checkpoint, start, base, epochs, patience, peak_rate, least, seed, threads
    )
    run(settings, model, model_id)


@app.command()
def evaluate(
    *,
    model: Annotated[Path, typer.Argument(help="An exported .onnx file.")],
    split: Annotated[Path, typer.Option(help="Folder like FER2013Valid.")],
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder for figures (JSON, CSV) and diagrams (PNG).", callback=output_folder
        ),
    ] = None,
) -> None:
    """Measure an exported classifier: accuracy, calibration, by size and crop, time.

    Example: `roommood-train evaluate own.onnx --split ferplus/FER2013Valid --report report`
    """
    import json
    from dataclasses import asdict

    from roommood.shared.process.progress import bar
    from roommood.training.expression.evaluate import evaluate as measure
    from roommood.training.expression.report import write_report

    with bar("evaluating") as progress:
        figures = measure(model, split, progress)
    if report:
        write_report(figures, report)
    typer.echo(json.dumps(asdict(figures), indent=2))


@app.command()
def export(
    *,
    data: Data,
    checkpoint: Checkpoint,
    model: Model,
    model_id: Annotated[str, typer.Option(help="Travels with every result.")] = "expression-own",
    held_out: HeldOut = 5,
    leave_out: LeaveOut = None,
    prior_power: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Divide by the shares learnt, to this power.",
            show_default="0.25, or 0 where the run began with an exported file",
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML; also writes a model card.")] = None,
    first_labels: Annotated[
        Path | None, typer.Option(help="CSV, for a checkpoint of distil.")
    ] = None,
    first_label_power: Annotated[
        float, typer.Option(min=0, help="Weight of the head that learnt them.")
    ] = 0.25,
    eight_bits: Annotated[
        bool, typer.Option("--eight-bits/--floats", help="Compute with bytes, or in fp32.")
    ] = True,
) -> None:
    """Write an ONNX file with its contract: labels, input, crop, calibration, accuracy.

    Example: `roommood-train export --data ferplus --checkpoint own.pt --model own.onnx`
    """
    from roommood.shared.process.progress import bar
    from roommood.training.expression.export import ExportSettings, summary
    from roommood.training.expression.export import export as write

    settings = ExportSettings(
        checkpoint,
        data,
        model,
        model_id,
        held_out,
        recipe=recipe,
        eight_bits=eight_bits,
        leave_out=leave_out,
        prior_power=prior_power,
        first_labels=first_labels,
        first_label_power=first_label_power,
    )
    with bar("exporting and measuring") as progress:
        measured = write(settings, progress)
    for name, value in summary(measured).items():
        typer.echo(f"{name}: {value}")


app.add_typer(face_cli.app, name="face")


def _tell_epoch(epoch: int, loss: float, accuracy: float) -> None:
    typer.echo(f"epoch {epoch}  loss {loss:.4f}  held-out {accuracy:.2%}")


def _tell_stage(stage: str, epoch: int, figures: Mapping[str, tuple[float, float]]) -> None:
    each = ", ".join(f"{name} {loss:.4f} {hits:.2%}" for name, (loss, hits) in figures.items())
    typer.echo(f"{stage}, epoch {epoch}, loss and held-out: {each}")


def _one_of(name: str, choices: Mapping[str, T]) -> T:
    if name not in choices:
        raise typer.BadParameter(f"{name} is none of {', '.join(choices)}")
    return choices[name]


def main() -> None:
    run_app(app)


if __name__ == "__main__":
    main()
