"""A camera node with pictures in memory that tells, at its end, how long it was ever held up.

Takes the options of `benchmarks.memory_camera`. Its last line of output is a JSON object whose
`ms` is the longest single call of the publisher, as a peer's `send` is one call.
"""

import functools
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks import memory_camera
from roommood.camera_node.publisher import Publisher

_longest_s = [0.0]


def main() -> None:
    for name in ("tick", "send", "may_send"):
        setattr(Publisher, name, _timed(getattr(Publisher, name)))
    try:
        memory_camera.main()
    finally:
        print(json.dumps({"message": "longest call", "ms": _longest_s[0] * 1000}), flush=True)


def _timed(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def timed(*arguments: Any) -> Any:
        began_s = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            _longest_s[0] = max(_longest_s[0], time.perf_counter() - began_s)

    return timed


if __name__ == "__main__":
    main()
