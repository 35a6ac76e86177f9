"""Sessions of one model for inputs of one size each: onnxruntime joins more operations, and plans
its memory better, where it knows all dimensions."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from roommood.shared.errors import ModelError

# Sizes for which a session is kept, at some 15 MB each; that of the self-test is one.
MOST_FITTED: Final = 5


class FittedSessions:
    """A session for each of the first sizes that come; the general one for all others, and for
    what cannot be fitted. Safe for several threads."""

    def __init__(
        self,
        general: Any,
        dimensions: Sequence[object],
        open_fitted: Callable[[Mapping[str, int]], Any],
    ) -> None:
        """`dimensions` are the input's: a number, or the name of one that is free; a file of which
        the first alone is free, the batch, gains nothing. `open_fitted` opens a session in which
        these names have these sizes, and raises ModelError where there is none."""
        self._general = general
        self._dimensions = dimensions
        self._open_fitted = open_fitted
        self._is_free = any(isinstance(side, str) for side in dimensions[1:])
        self._by_shape: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()

    def session(self, shape: tuple[int, ...]) -> Any:
        """The one for inputs of this shape."""
        if not self._is_free:
            return self._general
        return self._by_shape.get(shape) or self._fit(shape)

    def _fit(self, shape: tuple[int, ...]) -> Any:
        with self._lock:
            if shape not in self._by_shape and len(self._by_shape) < MOST_FITTED:
                self._by_shape[shape] = self._opened(shape)
            return self._by_shape.get(shape, self._general)

    def _opened(self, shape: tuple[int, ...]) -> Any:
        named = {
            (name, side)
            for name, side in zip(self._dimensions, shape, strict=False)
            if isinstance(name, str)
        }
        sides = dict(named)
        if len(sides) != len(named):  # one name for two dimensions, which here are not the same
            return self._general
        try:
            return self._open_fitted(sides)
        except ModelError:  # the general one works, or says what is wrong with the input
            return self._general
