"""Which changes of a figure are told. Pure: time is an argument.

Home Assistant's recorder keeps a row for each change of each figure, so what only wavers is no
change, and a figure changes at most once in a while.
"""

from collections.abc import Mapping
from typing import Any, Final

from roommood.aggregator.mqtt.topics import Json
from roommood.shared.protocol.emotions import EXPRESSIONS

# Figures are told in steps as large as what they waver by while nothing changes in a room.
STEPS: Final[Mapping[str, float]] = {
    "people": 1,
    "valence": 0.1,
    "coverage": 10,
    **{f"share_{expression}": 10 for expression in EXPRESSIONS},
}
# Of a step, from what was told: one that stands between two steps does not go to and fro.
_BEYOND: Final = 0.6
# That something is up or not, and what people set.
_AT_ONCE: Final = ("up", "redis", "paused", "quiet", "run")
# Seconds between two changes of what always changes.
_SELDOM_S: Final[Mapping[str, float]] = {"last_observed": 600.0}


class Steady:
    """What one room, camera or worker was told to show."""

    def __init__(self, change_every_s: float) -> None:
        self._change_every_s = change_every_s
        self._shown: Json = {}
        self._changed_s: dict[str, float] = {}

    def take(self, state: Json, now_s: float) -> Json:
        """What is to be shown of `state` at `now_s` of a clock that never goes back.

        A first change is shown at once, the next of the same figure `change_every_s` later. That
        something is up or not, or paused, and that what is not up has no figures, is always shown
        at once.
        """
        shows_all = state.get("up") == "OFF"
        for key, value in state.items():
            if shows_all or key in _AT_ONCE or self._may_change(key, state, now_s):
                self._show(key, _in_steps(key, value), now_s)
        return dict(self._shown)

    def _show(self, key: str, value: Any, now_s: float) -> None:
        if key not in self._shown or self._shown[key] != value:
            self._shown[key], self._changed_s[key] = value, now_s

    def _may_change(self, key: str, state: Json, now_s: float) -> bool:
        if key not in self._shown:
            return True
        wait_s = max(self._change_every_s, _SELDOM_S.get(key, 0.0))
        return now_s - self._changed_s[key] >= wait_s and self._has_moved(key, state)

    def _has_moved(self, key: str, state: Json) -> bool:
        before, value = self._shown[key], state[key]
        if before is None or value is None:
            return True
        if key in STEPS:
            return bool(abs(value - before) > _BEYOND * STEPS[key])
        return key != "dominant" or _leads(state, value, before)


def _leads(state: Json, expression: str, before: str) -> bool:
    """Whether it is shown more than the former one by more than their shares waver."""
    lead = (state[f"share_{expression}"] or 0.0) - (state[f"share_{before}"] or 0.0)
    return bool(lead >= STEPS[f"share_{expression}"])


def _in_steps(key: str, value: Any) -> Any:
    if value is None or key not in STEPS:
        return value
    step = STEPS[key]
    in_steps = round(round(value / step) * step, 1) + 0.0
    return in_steps if step < 1 else round(in_steps)
