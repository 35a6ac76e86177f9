"""The `inference-worker` command, also mounted as `roommood worker`."""

from typing import TYPE_CHECKING

import typer

from roommood.shared.process.command import VersionOption, new_app, run_app
from roommood.shared.process.settings import WorkerSettings
from roommood.shared.process.settings.options import with_settings

if TYPE_CHECKING:
    from roommood.inference_worker.vision.analysis import Analyzer

app = new_app()


@app.command()
@with_settings(WorkerSettings)
def worker(settings: WorkerSettings, version: VersionOption = False) -> None:
    """Ask cameras for frames, find the faces and tell the expression that each shows.

    Example: `inference-worker --bind 127.0.0.1:5701 --aggregator 127.0.0.1:5700 --threads 2`
    """
    from roommood.inference_worker.supervisor import Supervisor, one_of, with_count
    from roommood.shared.process import logs

    settings = with_count(settings)
    if settings.processes > 1:
        logs.setup(settings.log_format, settings.log_level, "workers")
        raise typer.Exit(Supervisor(settings, run_worker).run())
    raise typer.Exit(run_worker(one_of(settings, settings.instance)))


def run_worker(settings: WorkerSettings, kind: "type[Analyzer] | None" = None) -> int:
    """One worker in this process, until it is told to stop; returns the exit code.

    `kind`: an Analyzer that does something else with each frame (see its `look`).
    """
    from roommood.shared.process import logs

    logs.setup(settings.log_format, settings.log_level, "worker")
    from roommood.inference_worker.vision.analysis import Analyzer, open_analyzer
    from roommood.inference_worker.worker import Worker

    analyzer = open_analyzer(
        settings.detector,
        settings.classifier,
        input_size=settings.input_size,
        provider=settings.provider,
        kind=kind or Analyzer,
    )
    analyzer.self_test()
    analyzer.warm_up()
    return Worker(settings, analyzer).run()


def main() -> None:
    run_app(app)
