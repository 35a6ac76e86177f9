"""Training the detector: AdamW, a moving average of the weights,
checkpoints."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from roommood.training.face.batches import Batch, batches, some_pictures
from roommood.training.face.loss import Losses
from roommood.training.face.net import GREY_MEAN, GREY_STD, FaceNet, NetShape, cells
from roommood.training.face.weights import net_from_onnx

FIRST_STEM = {"stem_kernel": 8, "stem_depth": 0}  # of checkpoints that do not tell
EXPORTED, MEASURED = ".onnx", 48  # crops from which norms folded into a file are measured again
_BLOCK = re.compile(r"(stage\d+|blocks)\.\d+\.")


@dataclass(frozen=True)
class Recipe:
    """How to train. The learning rate climbs, stays, and falls to nothing over the last part
    (`decay`) of the steps, so that a run stopped in the middle goes on with more steps, or ends
    early with fewer."""

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


def rate_at(step: int, recipe: Recipe) -> float:
    """The learning rate of a step."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    falling = (recipe.steps - step) / max(1.0, recipe.steps * recipe.decay)
    return recipe.rate * min(1.0, max(0.0, falling))


def train(
    folder: Path,
    checkpoint: Path,
    recipe: Recipe,
    shape: NetShape,
    report: Callable[[str], None],
    start: Path | None = None,
) -> None:
    """Train from the folder's shards until recipe.steps; goes on from the checkpoint, if any.

    A new run may start from the averaged weights of another run's checkpoint, or from an exported
    file; see grow.
    """
    torch.set_num_threads(1)
    run = _resume(checkpoint, recipe, shape, starting_net(start, folder) if start else None)
    rng = np.random.default_rng([recipe.seed, run.step])
    feed = batches(folder, recipe.batch, rng)
    seen, since = _Mean(), time.monotonic()
    while run.step < recipe.steps:
        seen.add(_step(run, next(feed), recipe))
        if run.step % 100 == 0:
            pace = 100 / (time.monotonic() - since)
            report(f"step {run.step}/{recipe.steps} {seen} {pace:.2f} steps/s")
            seen, since = _Mean(), time.monotonic()
        if run.step % recipe.save_every == 0 or run.step == recipe.steps:
            _save(run, checkpoint)
        if run.step % recipe.keep_every == 0:
            _save(run, checkpoint.with_name(f"{checkpoint.stem}-{run.step}{checkpoint.suffix}"))


@dataclass
class _Run:
    """What a checkpoint holds."""

    net: FaceNet
    average: FaceNet
    optimiser: torch.optim.Optimizer
    step: int = 0


def starting_net(path: Path, folder: Path) -> FaceNet:
    """The net of a checkpoint, averaged, or of an exported file, its norms measured on crops."""
    if path.suffix != EXPORTED:
        return load_average(path)
    return net_from_onnx(path, some_pictures(folder, MEASURED))


def _resume(checkpoint: Path, recipe: Recipe, shape: NetShape, start: FaceNet | None) -> _Run:
    torch.manual_seed(recipe.seed)
    net, average = _net(shape), _net(shape)
    if start is not None:
        grow(net, start)
    average.load_state_dict(net.state_dict())
    run = _Run(net, average, _optimiser(net, recipe))
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
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
        raise ValueError(f"the nets differ in more than depth: {net.shape}, {other.shape}")
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
    return torch.optim.AdamW(groups, lr=recipe.rate)


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


def load_average(checkpoint: Path) -> FaceNet:
    """The averaged net of a checkpoint, ready for use."""
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    net = FaceNet(NetShape(**{**FIRST_STEM, **state["shape"]}))
    net.load_state_dict(state["average"])
    return net.eval()


def _step(run: _Run, batch: Batch, recipe: Recipe) -> Losses:
    for group in run.optimiser.param_groups:
        group["lr"] = rate_at(run.step, recipe)
    pictures = (batch.pictures - GREY_MEAN) / GREY_STD
    with torch.autocast("cpu", torch.bfloat16):
        levels = run.net(pictures.contiguous(memory_format=torch.channels_last))
    raw = torch.cat([level.float() for level in levels], 1)
    loss = batch.losses(raw, cells(*pictures.shape[-2:]))
    run.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), 10.0)
    run.optimiser.step()
    run.step += 1
    _follow(run, recipe)
    return loss


@torch.no_grad()
def _follow(run: _Run, recipe: Recipe) -> None:
    keep = min(recipe.average, (1 + run.step) / (10 + run.step))
    for mean, now in zip(
        run.average.state_dict().values(), run.net.state_dict().values(), strict=True
    ):
        if mean.dtype.is_floating_point:
            mean.lerp_(now, 1 - keep)
        else:
            mean.copy_(now)


@dataclass
class _Mean:
    """Running means of the losses, for the log."""

    score: float = 0.0
    box: float = 0.0
    landmarks: float = 0.0
    count: int = 0

    def add(self, loss: Losses) -> None:
        if not math.isfinite(float(loss.total.detach())):
            raise FloatingPointError(
                "the loss is no longer finite: lower the rate or look at the last shard"
            )
        self.score += float(loss.score.detach())
        self.box += float(loss.box.detach())
        self.landmarks += float(loss.landmarks.detach())
        self.count += 1

    def __str__(self) -> str:
        n = max(1, self.count)
        return (
            f"score {self.score / n:.4f} box {self.box / n:.4f} landmarks {self.landmarks / n:.4f}"
        )
