"""Training the detector: batches from shards on disk, AdamW, a moving average of the weights,
checkpoints."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from roommood.training.face.loss import Losses, losses
from roommood.training.face.net import GREY_MEAN, GREY_STD, FaceNet, NetShape, cells
from roommood.training.face.stock import Shard, shards
from roommood.training.face.weights import net_from_onnx

FIRST_STEM = {"stem_kernel": 8, "stem_depth": 0}  # of checkpoints that do not tell
WINDOWS = (256, 256, 320)  # of a crop, drawn for each batch: a crop is never shown twice alike
EXPORTED, MEASURED = ".onnx", 48  # crops from which norms folded into a file are measured again
LEARN_SHARE, KEEP_SHARE = 0.5, 0.2
SHADOW_SHARE = 0.35
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
    run = _resume(checkpoint, recipe, shape, _start(start, folder) if start else None)
    batches = _batches(folder, recipe, run.step)
    seen, since = _Mean(), time.monotonic()
    while run.step < recipe.steps:
        pictures, labels = next(batches)
        seen.add(_step(run, pictures, labels, cells(*pictures.shape[-2:]), recipe))
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


def _start(path: Path, folder: Path) -> FaceNet:
    if path.suffix != EXPORTED:
        return load_average(path)
    first = Shard.open(shards(folder)[0]).pictures[:MEASURED]
    return net_from_onnx(path, torch.from_numpy(np.array(first)).float()[:, None])


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


def average_checkpoints(checkpoints: list[Path], output: Path) -> None:
    """Write the mean of the averaged weights of runs that went on from one another (Wortsman et
    al. 2022, model soups); ValueError if their nets differ in shape."""
    states = [torch.load(path, weights_only=True) for path in checkpoints]
    if any(state["shape"] != states[0]["shape"] for state in states):
        raise ValueError("only nets of one shape can be averaged")
    nets = [state["average"] for state in states]
    mean = {
        name: torch.stack([net[name].double() for net in nets]).mean(0).to(value.dtype)
        for name, value in nets[0].items()
    }
    torch.save({**states[0], "average": mean}, output)


def _step(run: _Run, pictures: Tensor, labels: Tensor, where: Tensor, recipe: Recipe) -> Losses:
    for group in run.optimiser.param_groups:
        group["lr"] = rate_at(run.step, recipe)
    inputs = ((pictures - GREY_MEAN) / GREY_STD).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        levels = run.net(inputs)
    loss = losses(torch.cat([level.float() for level in levels], 1), labels, where)
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


def _batches(folder: Path, recipe: Recipe, start: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches: pictures (B, 1, S, S) 0..255 and labels (B, G, 16). New shards are taken
    up as they come."""
    rng = np.random.default_rng([recipe.seed, start])
    while True:
        stock = [Shard.open(path) for path in shards(folder)]
        if not stock:
            raise FileNotFoundError(f"{folder}: no shards; render some first")
        order = [
            (s, i)
            for s in range(len(stock))
            for i in rng.permutation(len(stock[s]))[: len(stock[s]) // 2]
        ]
        rng.shuffle(order)
        for at in range(0, len(order) - recipe.batch + 1, recipe.batch):
            picked = order[at : at + recipe.batch]
            yield _batch(
                [stock[s].pictures[i] for s, i in picked],
                [stock[s].labels[i] for s, i in picked],
                rng,
            )


def _batch(
    pictures: list[Any], labels: list[Any], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    stacked, rows = torch.from_numpy(np.stack(pictures)).float(), torch.from_numpy(np.stack(labels))
    mirrored = torch.from_numpy(rng.random(len(rows)) < 0.5)
    stacked[mirrored] = stacked[mirrored].flip(-1)
    rows[mirrored] = mirror_labels(rows[mirrored], stacked.shape[-1])
    stacked, rows = window(stacked, rows, int(rng.choice(WINDOWS)), rng)
    return relit(stacked, rng)[:, None], rows


def relit(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (B, H, W) of 0..255 in another light: brighter or darker, and a third of them with
    darker shadows, as when people sit before a window, or paler ones."""
    light = torch.from_numpy(rng.normal(1, 0.12, (len(pictures), 1, 1))).float()
    power = np.exp(rng.normal(0.15, 0.45, (len(pictures), 1, 1)))
    power = np.where(rng.random(power.shape) < SHADOW_SHARE, power, 1.0)
    bent = (pictures / 255).clamp(min=1e-4).pow(torch.from_numpy(power).float()) * 255
    return bent * light


def window(
    pictures: Tensor, rows: Tensor, side: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A square part of each picture (B, S, S), anywhere, and its label rows (B, G, 16).

    As when crops are rendered: a face of which less than half is left is ignored, and one of
    which less than a fifth is left is gone.
    """
    if side >= pictures.shape[-1]:
        return pictures, rows
    corner = rng.integers(0, pictures.shape[-1] - side + 1, (len(rows), 2))
    parts = [
        picture[top : top + side, left : left + side]
        for picture, (left, top) in zip(pictures, corner.tolist(), strict=True)
    ]
    shift = torch.from_numpy(corner).float()[:, None].repeat(1, 1, 7)
    places = rows[..., :14] - shift
    boxes = places[..., :4].clamp(0, side)
    share = _areas(boxes) / _areas(rows[..., :4]).clamp(min=1e-6)
    score = torch.where(share < LEARN_SHARE, 0.0, rows[..., 14])
    moved = torch.cat([boxes, places[..., 4:], score[..., None], rows[..., 15:]], -1)
    return torch.stack(parts), moved * (share >= KEEP_SHARE)[..., None]


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def mirror_labels(rows: Tensor, width: int) -> Tensor:
    """Label rows (..., 16) of the picture mirrored left to right; empty rows stay empty."""
    real = (rows[..., 2] > rows[..., 0]).unsqueeze(-1)
    mirrored = rows.clone()
    mirrored[..., 0], mirrored[..., 2] = width - rows[..., 2], width - rows[..., 0]
    points = rows[..., 4:14].reshape(*rows.shape[:-1], 5, 2)[..., [1, 0, 2, 4, 3], :].clone()
    points[..., 0] = width - points[..., 0]
    mirrored[..., 4:14] = points.flatten(-2)
    return torch.where(real, mirrored, rows)


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
