"""`roommood-train`: make the shipped models again, or your own."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Train, evaluate and export roommood's models.")


@app.callback()
def main() -> None:
    """Keep sub-commands even while there is only one."""


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Folder that holds FER2013Train/ with label.csv.")],
    checkpoint: Annotated[Path, typer.Option(help="Written after each epoch; resumed from.")],
    size: Annotated[str, typer.Option(help="student, or teacher (seven times the parameters).")] = "student",
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    seed: Annotated[int, typer.Option()] = 1,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    held_out: Annotated[int, typer.Option(min=1, max=50, help="Percent never trained on.")] = 5,
    teacher: Annotated[list[Path] | None, typer.Option(help="Checkpoint to learn from; repeatable.")] = None,
) -> None:
    """Train an expression classifier on votes."""
    import time

    from training.expression_net import STUDENT, TEACHER
    from training.expression_train import Run, TrainSettings

    settings = TrainSettings(
        data=data,
        checkpoint=checkpoint,
        shape={"student": STUDENT, "teacher": TEACHER}[size],
        epochs=epochs,
        seed=seed,
        threads=threads,
        held_out_percent=held_out,
        teachers=tuple(teacher or ()),
    )
    start = time.monotonic()

    def report(epoch: int, loss: float, accuracy: float) -> None:
        minutes = (time.monotonic() - start) / 60
        typer.echo(f"epoch {epoch}/{epochs}  loss {loss:.4f}  held-out {accuracy:.2%}  {minutes:.1f} min")

    Run(settings).train(report)


if __name__ == "__main__":
    app()
