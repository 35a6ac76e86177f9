"""Frames of camera nodes in Python of your own: here OpenCV tells how sharp each picture is.

    python examples/own_frames.py --rate-hz 30 --empty-rate-hz 30
    camera-node --name kitchen-1 --room kitchen --source 0 --worker 127.0.0.1:5701

Needs roommood with its extra `worker`. It is a worker, with all its options: `--help`.
"""

import dataclasses
from datetime import UTC, datetime, timedelta

import cv2
import typer

from roommood.inference_worker.cli import run_worker
from roommood.inference_worker.vision.analysis import Analysis, Analyzer
from roommood.inference_worker.vision.decode import decode
from roommood.shared.process.command import new_app, run_app
from roommood.shared.process.settings import WorkerSettings
from roommood.shared.process.settings.options import with_settings
from roommood.shared.protocol.messages import Frame

app = new_app()


class OwnFrames(Analyzer):
    reads_gray = False  # colour, please

    def look(self, frame: Frame, age_ms: float) -> Analysis:
        picture = decode(frame.jpeg, frame.rotation)  # upright, (H, W, 3) BGR
        captured = datetime.now(UTC) - timedelta(milliseconds=age_ms)
        sharpness = cv2.Laplacian(picture, cv2.CV_64F).var()
        line = (captured.isoformat(), frame.room, frame.camera, picture.shape, f"{sharpness:.0f}")
        print(*line, flush=True)
        return Analysis()  # with `super().look(frame, age_ms)` faces are analysed as well


@app.command()
@with_settings(WorkerSettings)
def own_frames(settings: WorkerSettings) -> None:
    """Print how sharp each frame is."""
    # To count people and expressions as well, leave the aggregators in.
    settings = dataclasses.replace(settings, aggregators=())
    raise typer.Exit(run_worker(settings, OwnFrames))


def main() -> None:
    run_app(app)


if __name__ == "__main__":
    main()
