"""The name of a network camera, looked up within a time: FFmpeg and the system's resolver wait for
a name server as long as it takes, and nothing ends them, not even SIGTERM.
"""

from typing import Final
from urllib.parse import urlsplit

from roommood.shared.errors import SourceError
from roommood.shared.transport.resolver import look_up_within

_LOOKUP_S: Final = 4.0


def require_name(url: str, description: str) -> None:
    """Raises SourceError where the host of an address leads nowhere, or no answer comes in time."""
    host = urlsplit(url).hostname or ""
    numbers = look_up_within(f"tcp://{f'[{host}]' if ':' in host else host}:1", _LOOKUP_S)
    if not numbers.addresses:
        raise SourceError(
            f"{description} is not found: {numbers.why}: check it, or use the camera's IP address"
        )
