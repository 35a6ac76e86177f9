"""Pages that were asked for and whose web socket did not come yet, or never: a program's.

Each holds memory until it is let go, so there are only so many of an address, and not for long.
"""

import gc
from collections import Counter
from typing import Final

from nicegui import Client
from nicegui import app as nicegui_app

from roommood.shared.process.memory import give_back_freed_memory

MOST_OF_ONE_ADDRESS: Final = 32
MOST_UNOPENED: Final = 128
# With those that are open.
MOST_PAGES: Final = 500
# Seconds that a browser may take until its page's web socket is there; later, it loads it anew.
UNOPENED_S: Final = 20.0


class UnopenedPages:
    """Which there are. All of it belongs to the event loop."""

    def __init__(self) -> None:
        self._address: dict[str, str] = {}
        self._has_freed = False
        nicegui_app.on_connect(self._leave)
        nicegui_app.on_delete(self._free)

    def take(self, page: Client) -> str:
        """Why there cannot be one more; "" where it was taken in."""
        of_each = Counter(self._address.values())
        if of_each[page.ip] >= MOST_OF_ONE_ADDRESS or of_each.total() >= MOST_UNOPENED:
            return (
                f"too many pages were asked for and not opened: try again in {UNOPENED_S:.0f} s, "
                "and let programs ask /api/rooms"
            )
        if len(Client.instances) > MOST_PAGES:
            return "too many pages are open: close some"
        self._address[page.id] = page.ip
        return ""

    def tick(self) -> None:
        """Lets go of those that nobody opened, and gives back what pages held."""
        Client.prune_instances(client_age_threshold=UNOPENED_S)
        if self._has_freed:
            self._has_freed = False
            gc.collect()
            give_back_freed_memory()

    def _leave(self, page: Client) -> None:
        self._address.pop(page.id, None)

    def _free(self, page: Client) -> None:
        self._leave(page)
        self._has_freed = True
