"""What a supervisor under test runs in place of a worker with its models."""

import logging
import os
import select

from roommood.shared.errors import ConfigError, ModelError
from roommood.shared.process import logs
from roommood.shared.process.logs import event
from roommood.shared.process.metrics import Health
from roommood.shared.process.runtime import shutdown_on_signals
from roommood.shared.process.settings import WorkerSettings


def turns(settings: WorkerSettings) -> int:
    logs.setup("json", "debug", "worker")
    health = Health("worker")
    with shutdown_on_signals() as shutdown:
        event(logging.getLogger(__name__), logging.INFO, "turning", pid=os.getpid())
        while not shutdown.requested:
            health.tick()
            select.select([shutdown.waker], [], [], 0.1)
    return 0


def ends(settings: WorkerSettings) -> int:
    return 7


def refuses(settings: WorkerSettings) -> int:
    raise ConfigError("no such model")


def has_no_model(settings: WorkerSettings) -> int:
    raise ModelError("this is no model")


def never_ends(settings: WorkerSettings) -> int:
    logs.setup("json", "debug", "worker")
    health = Health("worker")
    with shutdown_on_signals():
        event(logging.getLogger(__name__), logging.INFO, "turning", pid=os.getpid())
        while True:
            health.tick()
            select.select([], [], [], 0.1)
