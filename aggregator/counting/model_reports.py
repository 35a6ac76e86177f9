"""Which contract is written of each model that workers report."""

import dataclasses
import logging
from collections.abc import Collection
from typing import Final

from roommood.shared.process.logs import RateLimitedLog
from roommood.shared.protocol.limits import MODELS_EVERY_MS
from roommood.shared.protocol.messages import ModelReport

_log = logging.getLogger(__name__)
# Milliseconds for which a contract counts as that of a running worker, which tells it each minute.
_TOGETHER_MS: Final = 2.5 * MODELS_EVERY_MS
_MOST: Final = 256


class ModelReports:
    """The latest contract of each model, until it is taken.

    Where two workers give one name to models of different contracts, whose counters of a room are
    whose cannot be told: then neither has matrices, so that nothing is corrected by the wrong ones.
    """

    def __init__(self) -> None:
        self._limited_log = RateLimitedLog(_log)
        self._recent: dict[str, list[tuple[ModelReport, float]]] = {}
        self._due: dict[str, ModelReport] = {}

    def tell(self, model: ModelReport, now_ms: float) -> None:
        others = [
            (other, at_ms)
            for other, at_ms in self._recent.get(model.model, ())
            if other != model and now_ms - at_ms < _TOGETHER_MS
        ]
        if len(self._recent) >= _MOST and model.model not in self._recent:
            self._recent.clear()
        self._recent[model.model] = [*others[-1:], (model, now_ms)]
        if others:
            todo = "give each file a model_id of its own"
            self._limited_log.event("models of the same name differ", model=model.model, todo=todo)
            model = dataclasses.replace(model, confusion={})
        self._due[model.model] = model

    def due(self) -> Collection[ModelReport]:
        """Those that were told since `written`."""
        return self._due.values()

    def written(self) -> None:
        self._due = {}
