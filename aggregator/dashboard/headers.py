"""What every answer says to the browser about how far to trust it."""

import secrets
from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roommood.aggregator.dashboard.links import own_path

# NiceGUI sets styles on elements, and its Vue compiles templates in the browser: without these
# two the page stays empty. An inline script still needs the nonce that only this answer knows,
# so markup that got in by mistake runs nothing.
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Under no-referrer a browser says "null" for where a form comes from, which the guard refuses.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}
_SCRIPT: Final = b"<script"
# What may be kept for longer than it is shown: files whose address names their version.
_KEPT_PATHS: Final = ("/_nicegui/",)
# What may be kept as long as it is asked for anew whether it changed, as with another release.
_CHECKED_PATHS: Final = ("/assets/",)


class SecurityHeaders:
    """Adds the headers to every answer, and the nonce to the scripts of a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = _Answer(send, _keeping(own_path(scope))).send
        await self._app(scope, receive, send)


def _keeping(path: str) -> Mapping[str, str]:
    """What a browser and whoever stands before it may keep of an address."""
    if path.startswith(_KEPT_PATHS):
        return {}
    return {"cache-control": "no-cache" if path.startswith(_CHECKED_PATHS) else "no-store"}


class _Answer:
    """One answer under way; a page of HTML is held until it is whole."""

    def __init__(self, send: Send, keeping: Mapping[str, str]) -> None:
        self._send = send
        self._keeping = keeping
        self._nonce = secrets.token_urlsafe(16)
        self._start: Message = {}
        self._is_page = False
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._is_page and message["type"] == "http.response.body":
            await self._page(message)
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers = {name.lower(): value for name, value in message["headers"]}
        self._is_page = headers.get(b"content-type", b"").startswith(b"text/html")
        policy = _POLICY.format(nonce=self._nonce)
        ours = {**_HEADERS, "content-security-policy": policy, **self._keeping}
        names = {name.encode() for name in ours}
        theirs = [pair for pair in message["headers"] if pair[0].lower() not in names]
        self._start = {
            **message,
            "headers": [*theirs, *((n.encode(), v.encode()) for n, v in ours.items())],
        }
        if not self._is_page:
            await self._send(self._start)

    async def _page(self, message: Message) -> None:
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        nonce = f'{_SCRIPT.decode()} nonce="{self._nonce}"'.encode()
        body = self._body.replace(_SCRIPT, nonce)
        length = (b"content-length", str(len(body)).encode())
        theirs = [pair for pair in self._start["headers"] if pair[0].lower() != length[0]]
        await self._send({**self._start, "headers": [*theirs, length]})
        await self._send({"type": "http.response.body", "body": body})
