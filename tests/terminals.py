"""What a program shows on a terminal of its own."""

import os
from contextlib import suppress


def all_shown(terminal: int) -> bytes:
    """Reads until nobody has the other end open any more, and closes the terminal.

    The kernel passes on what was written by and by, even when the writer has ended already.
    """
    shown = b""
    with suppress(OSError):
        while part := os.read(terminal, 65536):
            shown += part
    os.close(terminal)
    return shown
