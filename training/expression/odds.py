"""What is added to a classifier's logits for rooms that show other shares than its training."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch

from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.evaluate import COUNT, softmax
from roommood.training.expression.ferplus import Floats, Labels
from roommood.training.expression.net import ExpressionNet

PRIOR_POWER, LEAST_SHARE = 0.25, 1e-3
# Strangers who vote on a picture see less disgust and fear than its actor meant to show; contempt
# is so rare that a network hardly ever dares to say it.
RAISED: Final = {"disgust": 2.0, "fear": 1.25, "contempt": 2.8}
# For an expression that no picture taught: its logit says nothing, and must not be raised.
NEVER_TAUGHT: Final = -10.0
_AS_IT_IS: Final[Mapping[str, float]] = {}


def prior_odds(
    shares: Floats, power: float = 1.0, raised: Mapping[str, float] = _AS_IT_IS
) -> Floats:
    """Logarithms (8,): less for what was usual, by a power, and more for what is raised."""
    usual = np.log(shares.clip(LEAST_SHARE))
    more = np.log([raised.get(name, 1.0) for name in EXPRESSIONS])
    return np.asarray(more - power * usual, dtype=np.float32)


def odds_of_rooms(
    shares: Floats, power: float | None, raised: Mapping[str, float] | None, by_votes: bool
) -> Floats:
    """Logarithms (8,) for a network that learnt these shares; where neither is given, by the usual
    power, and raised only where strangers voted. What was never taught is not to be answered."""
    usual = RAISED if by_votes else _AS_IT_IS
    odds = prior_odds(
        shares, PRIOR_POWER if power is None else power, usual if raised is None else raised
    )
    return odds if raised is not None else np.where(shares > 0, odds, np.float32(NEVER_TAUGHT))


def even_out(net: ExpressionNet, odds: Floats) -> None:
    """Add `odds` (8,) to all logits that the network gives."""
    with torch.no_grad():
        net.classify.bias.add_(torch.from_numpy(odds.astype(np.float32)))


def fit_temperature(
    logits: Floats, truth: Labels, odds: Floats | None = None, weights: Floats | None = None
) -> float:
    """The T in softmax(logits / T + odds) that makes the labels (N,) most likely, each as often
    as its weight says (Guo et al. 2017)."""
    candidates = np.exp(np.linspace(np.log(0.2), np.log(3), 200))
    rows = np.arange(len(truth))
    odds = np.zeros(COUNT, dtype=np.float32) if odds is None else odds
    losses = [
        np.average(-np.log(softmax(logits / t + odds)[rows, truth] + 1e-9), weights=weights)
        for t in candidates
    ]
    return round(float(candidates[int(np.argmin(losses))]), 4)
