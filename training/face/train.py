"""Training the detector: AdamW, a moving average of the weights,
checkpoints."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from roommood.shared.errors import ModelError
from roommood.training.face.batches import Batch, batches, some_pictures
from roommood.training.face.loss import Losses
from roommood.training.face.net import GREY_MEAN, GREY_STD, FaceNet, NetShape, cells
from roommood.training.face.pool import MOST_CROPS
from roommood.training.face.weights import net_from_onnx
from roommood.training.opened import read_state

FIRST_STEM = {"stem_kernel": 8, "stem_depth": 0}  # of checkpoints that do not tell
REPORT_EVERY = 100
EXPORTED, MEASURED = ".onnx", 48  # crops from which norms folded into a file are measured again
_BLOCK = re.compile(r"(stage\d+|blocks)\.\d+\.")


@dataclass(frozen=True)
class Recipe:
    """How to train. The learning rate climbs, stays, and falls to nothing over the last part
    (`decay`) of the steps, so that a run stopped in the middle goes on with more steps, or ends
    early with fewer. With `minutes` it lasts so long, counted anew by each call, whatever the
    steps."""

    steps: int = 20_000
    batch: int = 20
    rate: float = 2e-3
    warmup: int = 500
    decay: float = 0.35
    weight_decay: float = 0.03
    average: float = 0.999
    seed: int = 1
    save_every: int = 500
    keep_every: int = 5_000
    minutes: float | None = None
    pool: int = MOST_CROPS


def rate_at(step: int, done: float, recipe: Recipe) -> float:
    """The learning rate of a step, when so much of the run is done (0..1)."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    return recipe.rate * min(1.0, max(0.0, (1 - done) / recipe.decay))


def train(
    folder: Path,
    checkpoint: Path,
    recipe: Recipe,
    shape: NetShape,
    report: Callable[[str], None],
    start: Path | None = None,
    device: str = "cpu",
) -> None:
    """Train from the folder's shards until the recipe's end; goes on from the checkpoint, if any.

    A new run may start from the averaged weights of another run's checkpoint, or from an exported
    file; see grow. The device is one of torch's: cpu, of which it takes one thread, cuda, cuda:1.
    """
    torch.set_num_threads(1)
    at = torch.device(device)
    run = _resume(checkpoint, recipe, shape, at, starting_net(start, folder) if start else None)
    rng = np.random.default_rng([recipe.seed, run.step])
    feed = batches(folder, recipe.batch, rng, at, recipe.pool)
    begun = time.monotonic()
    seen, since = _Mean(), begun
    while (done := _done(run.step, begun, recipe)) < 1:
        seen.add(_step(run, next(feed), recipe, done))
        if run.step % REPORT_EVERY == 0:
            pace = REPORT_EVERY / (time.monotonic() - since)
            report(f"step {run.step} ({done:.0%}) {seen.text()} {pace:.2f} steps/s")
            seen, since = _Mean(), time.monotonic()
        if run.step % recipe.save_every == 0:
            seen.check()
            _save(run, checkpoint)
        if run.step % recipe.keep_every == 0:
            seen.check()
            _save(run, checkpoint.with_name(f"{checkpoint.stem}-{run.step}{checkpoint.suffix}"))
    seen.check()
    _save(run, checkpoint)


def _done(step: int, begun: float, recipe: Recipe) -> float:
    """How much of the run is done: 0..1, or more."""
    if recipe.minutes is None:
        return step / recipe.steps
    return (time.monotonic() - begun) / 60 / recipe.minutes


@dataclass
class _Run:
    """What a checkpoint holds."""

    net: FaceNet
    average: FaceNet
    optimiser: torch.optim.Optimizer
    step: int = 0

    @cached_property
    def moving(self) -> tuple[list[Tensor], list[Tensor]]:
        """The averaged tensors, and those that they follow."""
        return _moving(self.average), _moving(self.net)


def starting_net(path: Path, folder: Path) -> FaceNet:
    """The net of a checkpoint, averaged, or of an exported file, its norms measured on crops."""
    if path.suffix != EXPORTED:
        return load_average(path)
    return net_from_onnx(path, some_pictures(folder, MEASURED))


def _resume(
    checkpoint: Path, recipe: Recipe, shape: NetShape, device: torch.device, start: FaceNet | None
) -> _Run:
    torch.manual_seed(recipe.seed)
    net, average = _net(shape), _net(shape).to(device)
    if start is not None:
        grow(net, start)
    net.to(device)
    average.load_state_dict(net.state_dict())
    run = _Run(net, average, _optimiser(net, recipe))
    if checkpoint.exists():
        state = face_state(checkpoint, device)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        run.optimiser.load_state_dict(state["optimiser"])
        run.step = state["step"]
    net.train()
    return run


def grow(net: FaceNet, other: FaceNet) -> None:
    """Copy the weights of a net that may have other depths, and a larger stem, of which the
    middle stays.

    A block that it lacks begins as the identity: what it adds is scaled by nothing, and the ReLU
    behind the sum changes nothing. A block that it has beyond ours is left out.
    """
    own, given = net.state_dict(), other.state_dict()
    given = {n: v for n, v in given.items() if n in own or not _BLOCK.search(n)}
    edge = (other.shape.stem_kernel - net.shape.stem_kernel) // 2
    if edge > 0:
        given["stem.0.weight"] = given["stem.0.weight"][..., edge:-edge, edge:-edge]
    missing = own.keys() - given.keys()
    strange = [
        name for name, value in given.items() if name not in own or own[name].shape != value.shape
    ]
    if strange or not all(_BLOCK.search(name) for name in missing):
        raise ModelError(f"the nets differ in more than depth: {net.shape}, {other.shape}")
    net.load_state_dict(given, strict=False)
    weights = dict(net.named_parameters())
    for name in missing:
        if name.endswith("pointwise.1.weight"):
            nn.init.zeros_(weights[name])


def _net(shape: NetShape) -> FaceNet:
    return FaceNet(shape).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _optimiser(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay for the kernels alone, neither for norms and biases nor for 3x3 depthwise
    kernels."""
    decayed = [p for p in net.parameters() if p.dim() > 1 and p.shape[1] > 1]
    free = [p for p in net.parameters() if p.dim() <= 1 or p.shape[1] == 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, fused=decayed[0].is_cuda)


def _save(run: _Run, checkpoint: Path) -> None:
    state = {
        "net": run.net.state_dict(),
        "average": run.average.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "step": run.step,
        "shape": asdict(run.net.shape),
    }
    part = checkpoint.with_suffix(".part")
    torch.save(state, part)
    part.replace(checkpoint)


def face_state(checkpoint: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What a run wrote. Raises ModelError for another file."""
    state = read_state(checkpoint, "face train", device=device)
    if not {"shape", "average"} <= state.keys():
        raise ModelError(f"{checkpoint} is not a checkpoint of `face train`: it lacks the network")
    return state


def load_average(checkpoint: Path) -> FaceNet:
    """The averaged net of a checkpoint, ready for use."""
    state = face_state(checkpoint)
    net = FaceNet(NetShape(**{**FIRST_STEM, **state["shape"]}))
    net.load_state_dict(state["average"])
    return net.eval()


def _step(run: _Run, batch: Batch, recipe: Recipe, done: float) -> Losses:
    for group in run.optimiser.param_groups:
        group["lr"] = rate_at(run.step, done, recipe)
    pictures = (batch.pictures - GREY_MEAN) / GREY_STD
    device = pictures.device
    with torch.autocast(device.type, torch.bfloat16):
        levels = run.net(pictures.contiguous(memory_format=torch.channels_last))
    raw = torch.cat([level.float() for level in levels], 1)
    loss = batch.losses(raw, _cells(*pictures.shape[-2:], device))
    run.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), 10.0)
    run.optimiser.step()
    run.step += 1
    _follow(run, recipe)
    return loss


@cache
def _cells(height: int, width: int, device: torch.device) -> Tensor:
    return cells(height, width).to(device)


@torch.no_grad()
def _follow(run: _Run, recipe: Recipe) -> None:
    keep = min(recipe.average, (1 + run.step) / (10 + run.step))
    means, now = run.moving
    torch._foreach_lerp_(means, now, 1 - keep)


def _moving(net: FaceNet) -> list[Tensor]:
    """Weights and what the norms measured: all that can be averaged."""
    return [value for value in net.state_dict().values() if value.dtype.is_floating_point]


class _Mean:
    """Means of the losses, for the log; they stay on their device until they are told."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, loss: Losses) -> None:
        self._parts.append(torch.stack([loss.score, loss.box, loss.landmarks]).detach())

    def check(self) -> None:
        """FloatingPointError if one of the losses was not finite: such weights are not saved."""
        if self._parts and not bool(torch.stack(self._parts).isfinite().all()):
            raise FloatingPointError(
                "the loss is no longer finite: lower the rate or look at the last shard"
            )

    def text(self) -> str:
        """FloatingPointError if one of the losses was not finite."""
        self.check()
        score, box, landmarks = torch.stack(self._parts).mean(0).tolist()
        return f"score {score:.4f} box {box:.4f} landmarks {landmarks:.4f}"
