"""Addresses of the page's own pages, also where a server in front has them below a path of its.

That server may take the path off what it passes on, or leave it: both are understood.
"""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

# NiceGUI has such a header prepended to all that its page loads, whoever sent it.
_PREFIX_HEADER: Final = b"x-forwarded-prefix"
_NICEGUI: Final = "/_nicegui"
# NiceGUI keeps the pages in one place of the process, and so is this.
_base = [""]


def serve_below(base_path: str) -> None:
    """From now on all links begin with it: "" or as /rooms."""
    _base[0] = base_path


def link(path: str) -> str:
    """Where a browser finds one of the page's own addresses, such as /health."""
    return _base[0] + path


def own_path(scope: Scope) -> str:
    """What is asked for, without the path of the server in front."""
    return str(scope["path"]).removeprefix(str(scope.get("root_path", ""))) or "/"


class BelowPath:
    """Tells the apps behind it, as ASGI does, below which path they are."""

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        self._app = app
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = [pair for pair in scope["headers"] if pair[0] != _PREFIX_HEADER]
            scope = {
                **scope,
                "headers": headers,
                "root_path": self._base_path,
                "path": self._base_path + self._own(scope["path"]),
            }
        await self._app(scope, receive, send)

    def _own(self, path: str) -> str:
        """A slash too many at its end would be answered by the way to another host name: ours."""
        if path == self._base_path or path.startswith(f"{self._base_path}/"):
            path = path.removeprefix(self._base_path)
        return path if path.startswith(_NICEGUI) else path.rstrip("/") or "/"
