"""A worker with one protection switched off: the control of what the keys are to prevent.

The environment variable UNPROTECTED says which: "asking" (nobody is asked who may come in),
"list" (everyone may), "check" (a message is taken from any key).
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from roommood.inference_worker.serving.access import Access
from roommood.shared.security.allow_list import AllowList
from tests import hooks


def main() -> None:
    _switch_off(os.environ["UNPROTECTED"])
    from roommood.inference_worker.cli import main as worker

    worker()


def _switch_off(protection: str) -> None:
    if protection == "asking":
        _patch(zmq.Socket, "setsockopt", _set_unless_enforcing)
        hooks.nobody_asks_the_authenticator(pytest.MonkeyPatch())
    if protection == "list":
        _patch(AllowList, "authorizes", _always(True))
    _patch(Access, "check_key", _always(None))
    _patch(Access, "check_claim", _always(None))
    _patch(Access, "newly_refused", _always(()))


def _patch(owner: Any, name: str, value: Any) -> None:
    assert hasattr(owner, name), f"{owner} has no {name}"
    setattr(owner, name, value)


def _always(answer: object) -> Callable[..., object]:
    return lambda *_: answer


_real = zmq.Socket.setsockopt


def _set_unless_enforcing(socket: zmq.Socket[bytes], option: int, value: Any) -> None:
    if option != zmq.ZAP_ENFORCE_DOMAIN:
        _real(socket, option, value)
