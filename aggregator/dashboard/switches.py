"""What whoever looks may set, through a login that may write that and nothing else."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from roommood.aggregator.counting.operator_settings import OperatorSettings
from roommood.aggregator.redis.servers import Servers
from roommood.shared.process.logs import event

_log = logging.getLogger(__name__)


class Switches:
    """Writes to Redis as the operator. Every method raises StoreError where Redis fails or refuses,
    and ConfigError for a login that cannot be used. For use on one event loop."""

    def __init__(self, url: str, password_file: Path | None) -> None:
        self._url = url
        self._password_file = password_file
        self._one_at_a_time = asyncio.Lock()

    async def set(self, change: Callable[[OperatorSettings], None], **what: str) -> None:
        """Makes a change and logs `what` it was."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._in_thread, change)
        event(_log, logging.INFO, "set on the page", **what)

    def _in_thread(self, change: Callable[[OperatorSettings], None]) -> None:
        settings = OperatorSettings(Servers(self._url, self._password_file))
        try:
            change(settings)
        finally:
            settings.close()
