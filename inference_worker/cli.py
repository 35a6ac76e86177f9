"""The `inference-worker` command, also mounted as `roommood worker`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from roommood.shared.process.command import (
    ConfigOption,
    DrainOption,
    InsecureOption,
    KeysOption,
    LogFormatOption,
    LogLevelOption,
    MetricsHostOption,
    MetricsPortOption,
    VersionOption,
    new_app,
    run_app,
)

if TYPE_CHECKING:
    from roommood.shared.process.settings import WorkerSettings

_NETWORK: Final = "Network"
_MODELS: Final = "Models"
_WORK: Final = "Work"

app = new_app()


@app.command()
def worker(
    bind: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_WORKER_BIND",
            help="host:port at which cameras reach this worker.",
            show_default="127.0.0.1:5701",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    advertise: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_WORKER_ADVERTISE",
            help="host:port that cameras are told, if it is not the bound one.",
            show_default="as bound",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    announce: Annotated[
        bool | None,
        typer.Option(
            "--announce",
            envvar="ROOMMOOD_WORKER_ANNOUNCE",
            help="Tell the local network where this worker is, for cameras with --discover.",
            show_default="off",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    aggregator: Annotated[
        list[str] | None,
        typer.Option(
            "--aggregator",
            "-a",
            envvar="ROOMMOOD_WORKER_AGGREGATORS",
            help="host:port of an aggregator; may be given again.",
            show_default="127.0.0.1:5700",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    keys: KeysOption = None,
    insecure: InsecureOption = None,
    detector: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_WORKER_DETECTOR",
            help="haar, haar:scale=1.1,neighbours=3, or a YuNet-style ONNX file.",
            show_default="the shipped one",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_WORKER_CLASSIFIER",
            help="ONNX file of an expression classifier.",
            show_default="the shipped one",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option(
            help="Pixels of the longer side at which faces are looked for; less is faster.",
            show_default="640",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            help="onnxruntime execution provider: cpu, cuda, openvino, ...",
            show_default="cpu",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            envvar="ROOMMOOD_WORKER_THREADS",
            help="Compute threads, each with a core's worth of work.",
            show_default="1",
            rich_help_panel=_WORK,
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            envvar="ROOMMOOD_WORKER_PROCESSES",
            help="Worker processes, each at the next port; the dead and the hung are replaced.",
            show_default="1",
            rich_help_panel=_WORK,
        ),
    ] = None,
    instance: Annotated[
        int | None,
        typer.Option(
            envvar="ROOMMOOD_WORKER_INSTANCE",
            help="The n-th worker of a machine listens n - 1 ports above the one given.",
            show_default="1",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    max_age_ms: Annotated[
        float | None,
        typer.Option(
            help="Milliseconds since capture after which a frame is refused, not analysed.",
            show_default="2000",
            rich_help_panel=_WORK,
        ),
    ] = None,
    min_frame_ms: Annotated[
        float | None,
        typer.Option(
            help="Milliseconds that a thread spends at least on each frame, to leave the "
            "processor to others.",
            show_default="0",
            rich_help_panel=_WORK,
        ),
    ] = None,
    drain_s: DrainOption = None,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = None,
    config: ConfigOption = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
    version: VersionOption = False,
) -> None:
    """Ask cameras for frames, find the faces and tell the expression that each shows.

    Example: `inference-worker --bind 127.0.0.1:5701 --aggregator 127.0.0.1:5700 --threads 2`
    """
    given = {
        "bind": bind,
        "advertise": advertise,
        "announce": announce,
        "aggregators": aggregator,
        "keys": keys,
        "insecure": insecure,
        "detector": detector,
        "classifier": classifier,
        "input_size": input_size,
        "provider": provider,
        "threads": threads,
        "processes": processes,
        "instance": instance,
        "max_age_ms": max_age_ms,
        "min_frame_ms": min_frame_ms,
        "drain_s": drain_s,
        "metrics_port": metrics_port,
        "metrics_host": metrics_host,
        "log_format": log_format,
        "log_level": log_level,
    }
    from roommood.shared.process import logs
    from roommood.shared.process.settings import WorkerSettings, load

    settings = load(WorkerSettings, config, given)
    from roommood.inference_worker.supervisor import Supervisor, one_of

    if settings.processes > 1:
        logs.setup(settings.log_format, settings.log_level, "workers")
        raise typer.Exit(Supervisor(settings, run_worker).run())
    raise typer.Exit(run_worker(one_of(settings, settings.instance)))


def run_worker(settings: "WorkerSettings") -> int:
    """One worker in this process, until it is told to stop; returns the exit code."""
    from roommood.shared.process import logs

    logs.setup(settings.log_format, settings.log_level, "worker")
    from roommood.inference_worker.vision.analysis import open_analyzer
    from roommood.inference_worker.worker import Worker

    analyzer = open_analyzer(
        settings.detector,
        settings.classifier,
        input_size=settings.input_size,
        provider=settings.provider,
    )
    analyzer.self_test()
    analyzer.warm_up()
    return Worker(settings, analyzer).run()


def main() -> None:
    run_app(app)
