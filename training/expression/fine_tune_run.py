"""`fine-tune` as a whole, and how its outcome is told."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from roommood.shared.errors import ConfigError
from roommood.shared.process.progress import bar
from roommood.training.expression.fine_tune import Change, FineTune, FineTuneSettings, Outcome
from roommood.training.expression.own_pictures import OwnPictures
from roommood.training.expression.train import Report


def run(settings: FineTuneSettings, model: Path, model_id: str) -> None:
    """Train, tell, export. The model is written also where it is no better: the text says so."""
    if settings.start_from and not settings.start_from.is_file():
        raise ConfigError(f"{settings.start_from}: no such file to start from")
    console = Console(highlight=False)
    with bar("reading pictures") as progress:
        tuning = FineTune(settings, progress)
    console.print(_parts(tuning.own))
    with bar("training") as progress:
        net = tuning.train(_reporter(console), progress)
    console.print(f"best on what stops the run: epoch {tuning.run.best_epoch}")
    with bar("judging and exporting") as progress:
        outcome = tuning.judge(net)
        temperature = start_temperature(settings.start_from)
        tuning.write(outcome, model, model_id, temperature, progress)
    settings.checkpoint.with_suffix(".outcome.json").write_text(outcome.to_json(), encoding="utf-8")
    tell(console, outcome)
    console.print(f"written: {model}, to be tried with  inference-worker --classifier {model}")


def start_temperature(start_from: Path | None) -> float:
    """The temperature that an exported file was calibrated with; 1 for anything else."""
    if start_from is None or start_from.suffix != ".onnx":
        return 1.0
    from roommood.training.expression.evaluate import Classifier

    return Classifier(start_from).temperature


def tell(console: Console, outcome: Outcome) -> None:
    """The figures before and after, in words that promise no more than they hold."""
    table = Table("own pictures kept aside", "n", "before", "after", "fixed", "broken")
    for name, change in (("all", outcome.own), *outcome.by_expression.items()):
        table.add_row(name, str(change.n), *_figures(change))
    if outcome.base:
        table.add_row("FER+ Valid", str(outcome.base.n), *_figures(outcome.base))
    console.print(table)
    console.print(f"On your own pictures: {outcome.own.verdict}.")
    console.print(_about_base(outcome.base))
    if outcome.best_epoch == 0:
        console.print("No epoch beat the start: the written model has the start's weights.")
    if not outcome.by_session:
        console.print(
            "Pictures kept aside may be of the same sessions as those learned from, and then "
            "resemble them, which flatters. Collect three sessions or more of each expression."
        )


def _figures(change: Change) -> tuple[str, str, str, str]:
    before = "-" if change.before is None else f"{change.before:.1%}"
    return before, f"{change.after:.1%}", str(change.fixed), str(change.broken)


def _about_base(base: Change | None) -> str:
    if base is None:
        return (
            "What it forgot of other people's faces was not measured, and the model has no "
            "confusion matrix: give --base with FER+ for both."
        )
    return f"On FER+ Valid: {base.verdict}."


def _parts(own: OwnPictures) -> str:
    twins = f"; {own.twins} of equal content left out" if own.twins else ""
    return (
        f"{len(own.learn)} pictures to learn from, {len(own.check)} to stop by, "
        f"{len(own.judge)} to judge by{twins}"
    )


def _reporter(console: Console) -> Report:
    def report(epoch: int, loss: float, accuracy: float) -> None:
        console.print(f"epoch {epoch}  loss {loss:.4f}  held-out {accuracy:.2%}")

    return report
