"""`python -m roommood.training.face.cli`: make the face detector again: label, render, train,
export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from roommood.shared.process.command import output_file, output_folder, run_app

app = typer.Typer(no_args_is_help=True, help="Train, evaluate and export the face detector.")

Data = Annotated[
    Path,
    typer.Option(help="Folder with faces-boxes/, portraits/, no-faces/ ... (see face_sources)."),
]
Labels = Annotated[
    Path, typer.Option(help="Folder of the teacher's labels.", callback=output_folder)
]
Teacher = Annotated[Path, typer.Option(help="A YuNet file with dynamic input.")]
Shards = Annotated[Path, typer.Option(help="Folder of rendered crops.", callback=output_folder)]
Output = Annotated[
    Path, typer.Option(help="The checkpoint to write, for `export`.", callback=output_file)
]


@app.command()
def label(
    data: Data,
    labels: Labels,
    teacher: Teacher,
    second: Annotated[
        Path | None, typer.Option(help="SCRFD at 640x640, for the sources that two must label.")
    ] = None,
) -> None:
    """Let the teachers label every picture of every source."""
    from functools import partial

    import cv2
    from rich.progress import Progress

    from roommood.training.face.data import pictures, save_faces
    from roommood.training.face.scrfd import Scrfd
    from roommood.training.face.sources import SOURCES, label_source
    from roommood.training.face.teacher import Detector

    cv2.setNumThreads(1)
    labels.mkdir(parents=True, exist_ok=True)
    detector = Detector.open(teacher)
    other = Scrfd.open(second) if second else None
    with Progress() as progress:
        for item in SOURCES:
            paths = pictures(data / item.folder)
            task = progress.add_task(item.name, total=len(paths))
            faces = label_source(
                data, item, paths, detector, partial(progress.advance, task), other
            )
            save_faces(labels / f"{item.name}.npz", faces)


@app.command()
def render(
    data: Data,
    labels: Labels,
    shards: Shards,
    count: Annotated[int, typer.Option(min=1, help="How many shards to render.")] = 8,
    size: Annotated[int, typer.Option(min=1, help="Crops in a shard.")] = 4000,
    first: Annotated[int, typer.Option(min=0, help="Number, and seed, of the first shard.")] = 0,
    keep: Annotated[int, typer.Option(min=1, help="Remove the oldest shards beyond so many.")] = 8,
    earlier: Annotated[
        Path | None, typer.Option(help="A detector whose false alarms are to be shown often.")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="A YuNet file that looks at every finished crop.")
    ] = None,
    rest: Annotated[
        float, typer.Option(min=0, help="Once `keep` are there: sleep so many rendering times.")
    ] = 0,
) -> None:
    """Render training crops; may run beside `train`, which takes up new shards as they come."""
    import time

    import cv2

    from roommood.training.face.stock import load_stock, remove_old, render_shard
    from roommood.training.face.teacher import Detector

    cv2.setNumThreads(1)
    shards.mkdir(parents=True, exist_ok=True)
    detector = Detector.open(earlier) if earlier else None
    critic = Detector.open(teacher) if teacher else None
    stock = load_stock(data, labels, lambda name: typer.echo(f"reading {name}"), detector, critic)
    typer.echo(f"{len(stock.traps)} traps")
    for number in range(first, first + count):
        start = time.monotonic()
        render_shard(stock, shards / f"shard-{number:04d}.npy", size, number)
        took = time.monotonic() - start
        typer.echo(f"shard {number}: {took:.0f} s")
        if remove_old(shards, keep):
            time.sleep(rest * took)


@app.command()
def render_natural(
    data: Data,
    labels: Labels,
    shards: Shards,
    teacher: Teacher,
    count: Annotated[int, typer.Option(min=1, help="How many shards to render.")] = 12,
    size: Annotated[int, typer.Option(min=1, help="Crops in a shard.")] = 3000,
    first: Annotated[int, typer.Option(min=0, help="Number, and seed, of the first shard.")] = 0,
    earlier: Annotated[
        Path | None, typer.Option(help="A detector whose mistakes are to be shown often.")
    ] = None,
) -> None:
    """Cut natural crops and ask the teacher about every cell; may run beside `train`."""
    import cv2

    from roommood.training.face.natural import load_album, render_natural
    from roommood.training.face.teacher import Detector

    cv2.setNumThreads(1)
    shards.mkdir(parents=True, exist_ok=True)
    before = Detector.open(earlier) if earlier else None
    album = load_album(data, labels, lambda name: typer.echo(f"reading {name}"), before)
    typer.echo(f"{len(album.traps)} traps")
    detector = Detector.open(teacher)
    for number in range(first, first + count):
        render_natural(album, detector, shards / f"natural-{number:04d}", size, number)
        typer.echo(f"natural shard {number}")


@app.command()
def crops(
    data: Data,
    labels: Labels,
    earlier: Annotated[Path, typer.Option(help="A detector whose false alarms are wanted.")],
    faces: Annotated[
        Path,
        typer.Option(help="Folder for faces, for `train --unlabelled`.", callback=output_folder),
    ],
    non_faces: Annotated[
        Path, typer.Option(help="Folder for `train --non-faces`.", callback=output_folder)
    ],
) -> None:
    """Cut faces, and what is taken for faces, for the expression classifier to learn from."""
    from roommood.training.face.crops import write_crops
    from roommood.training.face.teacher import Detector

    counts = write_crops(data, labels, Detector.open(earlier), faces, non_faces, typer.echo)
    typer.echo(f"{counts[0]} faces, {counts[1]} others")


@app.command()
def train(
    shards: Shards,
    checkpoint: Annotated[
        Path, typer.Option(help="Written as it goes; resumed from.", callback=output_file)
    ],
    steps: Annotated[int, typer.Option(min=1)] = 14_000,
    batch: Annotated[int, typer.Option(min=1)] = 20,
    decay: Annotated[
        float, typer.Option(min=0.01, max=1, help="Last share of the steps, with a falling rate.")
    ] = 0.35,
    rate: Annotated[float, typer.Option(min=0)] = 2e-3,
    seed: Annotated[int, typer.Option()] = 1,
    start: Annotated[
        Path | None, typer.Option(help="Begin with the weights of another run's checkpoint.")
    ] = None,
    device: Annotated[str, typer.Option(help="Of torch: cpu (one thread), cuda, cuda:1.")] = "cpu",
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="How long, instead of --steps.")
    ] = None,
    pool: Annotated[int, typer.Option(min=1, help="Crops of each kind in memory.")] = 40_000,
) -> None:
    """Train on rendered and natural crops; of both two thirds are natural."""
    from roommood.training.face.net import NetShape
    from roommood.training.face.train import Recipe
    from roommood.training.face.train import train as run

    recipe = Recipe(
        steps=steps, batch=batch, decay=decay, rate=rate, seed=seed, minutes=minutes, pool=pool
    )
    run(shards, checkpoint, recipe, NetShape(), typer.echo, start, device)


@app.command()
def average(
    checkpoints: Annotated[list[Path], typer.Argument(help="Of runs that went on from another.")],
    output: Output,
) -> None:
    """Average the weights of several runs."""
    from roommood.training.face.mix import average_checkpoints

    average_checkpoints(checkpoints, output)


@app.command()
def mix(
    checkpoint: Annotated[Path, typer.Argument(help="From `train` or `average`.")],
    earlier: Annotated[Path, typer.Option(help="The file or checkpoint that it began with.")],
    shards: Shards,
    output: Output,
    share: Annotated[float, typer.Option(min=0, max=1, help="Of the earlier weights.")] = 0.1,
) -> None:
    """Bring back a share of the weights that a run began with, and what it forgot with them."""
    from roommood.training.face.mix import mix_in

    mix_in(checkpoint, earlier, share, shards, output)


@app.command()
def evaluate(
    models: Annotated[list[Path], typer.Argument(help="Detectors to compare, ours and YuNet's.")],
    data: Data,
    labels: Labels,
    teacher: Teacher,
    every: Annotated[
        int, typer.Option(min=1, help="Take every so-many-th frame of the rooms.")
    ] = 1,
) -> None:
    """Judge detectors on the pictures kept out of training, in one run; prints JSON."""
    import json

    import cv2

    from roommood.training.face.evaluate import milliseconds
    from roommood.training.face.report import examine, prepare
    from roommood.training.face.teacher import Detector

    cv2.setNumThreads(1)
    exam = prepare(data, labels, Detector.open(teacher), every)
    detectors = [Detector.open(path) for path in models]
    times = milliseconds(detectors)
    figures = {
        path.name: {**examine(detector, exam), "ms at 640x480": round(time, 2)}
        for path, detector, time in zip(models, detectors, times, strict=True)
    }
    typer.echo(json.dumps(figures, indent=2))


@app.command()
def held_out(
    data: Data,
    labels: Labels,
    out: Annotated[
        Path, typer.Option(help="Folder for `roommood models evaluate`.", callback=output_folder)
    ],
    name: Annotated[str, typer.Option("--source", help="people or things.")] = "people",
) -> None:
    """Write the pictures kept out of training, with what both teachers see, as Pascal VOC."""
    from roommood.training.face.voc import write_held_out

    typer.echo(f"{write_held_out(data, labels, name, out)} pictures")


@app.command()
def groups(
    model: Annotated[Path, typer.Argument(help="A detector, ours or YuNet's.")],
    data: Data,
    labels: Labels,
) -> None:
    """How often it finds faces by cheeks, pose, light and size, where it never learnt from."""
    from roommood.training.face.groups import by_group
    from roommood.training.face.teacher import Detector

    for name, group in by_group(data, labels, Detector.open(model)).items():
        typer.echo(f"{name:40} {group.faces:4} faces, {group.found:.1%} found")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Option(help="From `train`.")],
    output: Annotated[Path, typer.Option(help="The ONNX file to write.", callback=output_file)],
    data: Data,
    labels: Labels,
    teacher: Teacher,
    model_id: Annotated[str, typer.Option()] = "face-7",
) -> None:
    """Write the ONNX file, its operating point chosen on pictures without faces."""
    import json

    import cv2

    from roommood.training.face.export import finish, write
    from roommood.training.face.report import prepare
    from roommood.training.face.teacher import Detector
    from roommood.training.face.train import load_average

    cv2.setNumThreads(1)
    net = load_average(checkpoint)
    exam = prepare(data, labels, Detector.open(teacher))
    card = finish(net, output, model_id, exam)
    write(net, output, card)
    typer.echo(json.dumps(card.accuracy, indent=2))


@app.command()
def add_decoding(
    model: Annotated[Path, typer.Argument(help="A file of ours with YuNet's outputs.")],
    output: Annotated[Path, typer.Argument(help="The ONNX file to write.", callback=output_file)],
) -> None:
    """Bring the decoding of boxes into the graph of a file that was exported without it."""
    from roommood.training.face.model_file import add_decoding as add

    add(model, output)


if __name__ == "__main__":
    run_app(app)
