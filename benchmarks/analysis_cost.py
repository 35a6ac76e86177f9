"""What one frame costs a worker's core, beside fer and beside YuNet with fer's net.

    python -m benchmarks.analysis_cost [--quick] [--detector FILE] [--yunet FILE]

640x480 JPEGs with three faces, decoding included, in processor time of one pinned process each,
by turns with the peer, so that what else the machine does weighs on all alike.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from benchmarks import peers
from benchmarks.pictures import write_jpegs
from benchmarks.processes import ROOT, answer, start
from benchmarks.rows import Options, Row, at_most, run_alone, stated

PEOPLE: Final = 3
FRAMES: Final = 12
MOST_AROUND: Final = 0.12
Facts = dict[str, Any]

if TYPE_CHECKING:
    from roommood.inference_worker.vision.analysis import Analyzer


def analysis_cost(options: Options) -> Iterator[Row]:
    peers.install()
    rounds = int(options.length(8, 2))
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder), FRAMES, PEOPLE)
        fer, ours, ours_320, yunet = [], [], [], []
        for _ in range(int(options.length(3, 1))):
            fer.append(_fer(folder, rounds))
            ours.append(_own(folder, rounds, options.detector, 640))
            ours_320.append(_own(folder, rounds, options.detector, 320))
            if options.yunet:
                yunet.append(_own(folder, rounds, options.yunet, 320))
        yield from _rows(_middle(fer), _middle(ours), _middle(ours_320), _middle(yunet))


def _rows(fer: Facts, ours: Facts, ours_320: Facts, yunet: Facts) -> Iterator[Row]:
    beside = {"fer (Haar and its net)": fer["cpu_ms"]}
    if yunet:
        alone_ms = yunet["cpu_ms"] - yunet["classify_ms"]
        beside["YuNet-320 + fer's net"] = alone_ms + fer["net_ms"]
    note = (
        f"detector {ours['detector']}; this core's GEMM in the same run: "
        f"{ours['gemm_gflops']:.0f} GFLOP/s in floats"
    )
    for facts, size, factor in ((ours, 640, 10), (ours_320, 320, 16)):
        cost_ms = facts["cpu_ms"]
        bar, held = f"fer / {factor}", cost_ms * factor <= fer["cpu_ms"]
        if size == 320 and yunet:
            bar, held = f"{bar}, < YuNet", held and cost_ms < beside["YuNet-320 + fer's net"]
        name = f"one core, {PEOPLE} faces, input {size}"
        yield Row(name, cost_ms, "ms CPU/frame", bar, held, beside, note)
        yield at_most(
            f"  around its networks, input {size}",
            facts["around_networks"],
            "of theirs",
            MOST_AROUND,
            note="fitting the picture in, boxes, crops, probabilities, blur: middle of all frames",
        )
        stages = {stage: facts[f"{stage}_ms"] for stage in ("decode", "detect", "classify")}
        yield stated(f"  of which, input {size}", sum(stages.values()), "ms CPU/frame", stages)
    found = {"fer": fer["faces"]} | ({"YuNet-320": yunet["faces"]} if yunet else {})
    yield stated(f"faces found of {PEOPLE}, input 640", ours["faces"], "faces/frame", found)
    yield stated(f"faces found of {PEOPLE}, input 320", ours_320["faces"], "faces/frame", found)


def _fer(folder: str, rounds: int) -> Facts:
    program = [str(ROOT / "benchmarks" / "peer_fer.py"), folder, str(max(1, rounds // 2))]
    return answer(start(program, str(peers.PYTHON)), 300)


def _own(folder: str, rounds: int, detector: str, size: int) -> Facts:
    program = ["-m", "benchmarks.analysis_cost", "measure", folder, str(rounds)]
    return answer(start([*program, detector, str(size)]), 300)


def _middle(runs: Sequence[Facts]) -> Facts:
    """The run of median cost."""
    if not runs:
        return {}
    middle = median(run["cpu_ms"] for run in runs)
    return min(runs, key=lambda run: abs(run["cpu_ms"] - middle))


def measure(folder: str, rounds: int, detector: str, size: int) -> Facts:
    """Processor milliseconds per frame: of the whole analysis, and of each stage by itself, on what
    the worker gives it (luma, where both models read no more)."""
    from benchmarks.gemm import product, shortest_ms
    from roommood.inference_worker.vision.analysis import open_analyzer
    from roommood.inference_worker.vision.decode import decode

    analyzer = open_analyzer(detector, input_size=size)
    analyzer.warm_up()
    files = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpg"))]
    decoded = partial(decode, as_gray=analyzer.reads_gray)
    pictures = [decoded(jpeg) for jpeg in files]
    faces = [analyzer.detector.detect(picture) for picture in pictures]
    both = list(zip(pictures, faces, strict=True))
    whole_ms, decode_ms, detect_ms, classify_ms = (
        _each_ms(act, rounds, len(files))
        for act in (
            lambda: [analyzer.analyze(jpeg) for jpeg in files],
            lambda: [decoded(jpeg) for jpeg in files],
            lambda: [analyzer.detector.detect(picture) for picture in pictures],
            lambda: [analyzer.classifier.classify(*one) for one in both],
        )
    )
    multiply, work = product("fp32")
    return {
        "cpu_ms": whole_ms,
        "decode_ms": decode_ms,
        "detect_ms": detect_ms,
        "classify_ms": classify_ms,
        "around_networks": around_networks(analyzer, files, rounds),
        "faces": sum(map(len, faces)) / len(files),
        "detector": analyzer.detector.detector_id,
        "gemm_gflops": work * 1000 / shortest_ms(multiply, 20),
    }


def around_networks(analyzer: "Analyzer", files: Sequence[bytes], rounds: int) -> float:
    """What detection and classification take beside their networks, as a part of what these take:
    the middle of all frames, each analysed whole, so that one stage empties the caches of the
    next."""
    parts = []
    with networks_timed() as networks_ms:
        for jpeg in [*files] * rounds:
            networks_ms.clear()
            analysis = analyzer.analyze(jpeg)
            whole_ms = analysis.detect_ms + analysis.classify_ms
            parts.append(whole_ms / sum(networks_ms) - 1)
    return median(parts)


@contextmanager
def networks_timed() -> Iterator[list[float]]:
    """A list that grows by the milliseconds of each run of any network."""
    from roommood.inference_worker.vision.onnx_model import OnnxModel

    took_ms: list[float] = []
    run = OnnxModel.__call__

    def timed(*given: Any) -> Any:
        began_s = time.perf_counter()
        results = run(*given)
        took_ms.append((time.perf_counter() - began_s) * 1000)
        return results

    with patch.object(OnnxModel, "__call__", timed):
        yield took_ms


def _each_ms(act: Callable[[], object], rounds: int, frames: int) -> float:
    act()
    began_s = time.process_time()
    for _ in range(rounds):
        act()
    return (time.process_time() - began_s) * 1000 / rounds / frames


def pinned() -> None:
    """Keeps this process on one core."""
    import os

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        pinned()
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))))
    else:
        run_alone(analysis_cost, __doc__)
