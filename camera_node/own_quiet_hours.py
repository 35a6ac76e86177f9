"""The hours in which a camera node keeps its camera closed by itself."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from roommood.shared.clock import boot_ms
from roommood.shared.clock_kept import is_clock_kept
from roommood.shared.process.logs import event
from roommood.shared.quiet_hours import QuietHours
from roommood.shared.time_zone import require_zone_of_clock

_log = logging.getLogger(__name__)
# A router that starts with the machine takes minutes until a clock can be set over it.
_SET_WITHIN_MS: Final = 600_000.0


class OwnQuietHours:
    """Quiet hours by this machine's clock.

    A Pi has no battery for it: after a power cut it goes on where it was, in the evening for
    instance, until NTP sets it. Till then it is quiet, since it might be; but not for longer than
    ten minutes after the machine's start, where nobody sets it.
    """

    def __init__(
        self,
        spans: Iterable[str],
        is_kept: Callable[[], bool | None] = is_clock_kept,
        up_ms: Callable[[], float] = boot_ms,
    ) -> None:
        """Raises ConfigError for a span that is none, or where this machine's time zone is none."""
        self._hours = QuietHours.parse(spans)
        if self._hours.spans:
            require_zone_of_clock()
        self._is_kept, self._up_ms = is_kept, up_ms
        self._is_trusted = self._has_warned = False

    def hold(self) -> bool:
        """Whether the camera is to be closed now."""
        return not self._trusts_clock() or self._hours.is_quiet_here()

    def _trusts_clock(self) -> bool:
        if self._is_trusted:
            return True
        if self._is_kept() is not False:
            self._is_trusted = True
        elif self._up_ms() > _SET_WITHIN_MS:
            self._is_trusted = True
            why = "nobody sets this machine's clock: quiet hours are kept by it as it stands"
            event(_log, logging.WARNING, why, todo="timedatectl set-ntp true, or roommood quiet")
        elif not self._has_warned:
            self._has_warned = True
            event(_log, logging.WARNING, "closed until the clock is set: it has quiet hours")
        return self._is_trusted
