"""What a supervisor under test runs in place of a worker with its models."""

import logging
import os
import select

from shared import logs
from shared.config import WorkerSettings
from shared.errors import ConfigError
from shared.logs import event
from shared.metrics import Health
from shared.runtime import shutdown_on_signals


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


def never_ends(settings: WorkerSettings) -> int:
    logs.setup("json", "debug", "worker")
    health = Health("worker")
    with shutdown_on_signals():
        event(logging.getLogger(__name__), logging.INFO, "turning", pid=os.getpid())
        while True:
            health.tick()
            select.select([], [], [], 0.1)
