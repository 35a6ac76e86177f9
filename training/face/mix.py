"""Weights between runs: the mean of several, and a share of an earlier net's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from roommood.shared.errors import ModelError
from roommood.training.face.batches import batches
from roommood.training.face.net import GREY_MEAN, GREY_STD, FaceNet
from roommood.training.face.train import face_state, grow, load_average, starting_net

MEASURED_BATCHES, BATCH = 40, 24


def average_checkpoints(checkpoints: list[Path], output: Path) -> None:
    """Write the mean of the averaged weights of runs that went on from one another (Wortsman et
    al. 2022, model soups); ModelError if their nets differ in shape."""
    states = [face_state(path) for path in checkpoints]
    if any(state["shape"] != states[0]["shape"] for state in states):
        raise ModelError("only nets of one shape can be averaged")
    nets = [state["average"] for state in states]
    mean = {
        name: torch.stack([net[name].double() for net in nets]).mean(0).to(value.dtype)
        for name, value in nets[0].items()
    }
    torch.save({**states[0], "average": mean}, output)


def mix_in(checkpoint: Path, earlier: Path, share: float, shards: Path, output: Path) -> None:
    """Write the checkpoint's averaged weights with a share (0..1) of those it began with
    (Wortsman et al. 2022, robust fine-tuning); `earlier` may be shallower. What the norms hold is
    measured again, on crops of the shards."""
    state = face_state(checkpoint)
    net = load_average(checkpoint)
    began = FaceNet(net.shape)
    grow(began, starting_net(earlier, shards))
    before = began.state_dict()
    net.load_state_dict(
        {name: _between(value, before[name], share) for name, value in net.state_dict().items()}
    )
    measure_norms(net, shards)
    torch.save({**state, "average": net.state_dict()}, output)


def _between(value: Tensor, other: Tensor, share: float) -> Tensor:
    return ((1 - share) * value.double() + share * other.double()).to(value.dtype)


@torch.no_grad()
def measure_norms(net: FaceNet, shards: Path) -> None:
    """Give the batch norms the means and variances of some batches."""
    feed = batches(shards, BATCH, np.random.default_rng(0))
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # all batches count alike
    net.train()
    for _ in range(MEASURED_BATCHES):
        net((next(feed).pictures - GREY_MEAN) / GREY_STD)
    net.eval()
