"""Who has given the password: tokens in memory, gone with the server."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

SESSION_S: Final = 7 * 24 * 3600
_MOST: Final = 1_000


class Sessions:
    """Tokens are kept as digests; the oldest makes room for one too many."""

    def __init__(self, password: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._password = _digest(password)
        self._clock_s = clock_s
        self._until_s: dict[bytes, float] = {}

    def is_password(self, text: str) -> bool:
        """Takes as long for a near miss as for any other text."""
        return hmac.compare_digest(_digest(text), self._password)

    def begin(self) -> str:
        """A new token, good for `SESSION_S`."""
        token = secrets.token_urlsafe(32)
        self._until_s[_digest(token)] = self._clock_s() + SESSION_S
        while len(self._until_s) > _MOST:
            del self._until_s[next(iter(self._until_s))]
        return token

    def holds(self, token: str) -> bool:
        until_s = self._until_s.get(_digest(token))
        return until_s is not None and self._clock_s() < until_s

    def end(self, token: str) -> None:
        self._until_s.pop(_digest(token), None)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
