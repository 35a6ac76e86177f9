"""HEAD, which monitors and proxies ask with: answered as GET is, without the body."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """The apps behind it only know GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            begun = _Beginning(send)
            await self._app({**scope, "method": "GET"}, begun.receive, begun.send)
        else:
            await self._app(scope, receive, send)


class _Beginning:
    """An answer that ends where its body begins, and whose client then is gone: some never end."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._over = asyncio.Event()

    async def send(self, message: Message) -> None:
        if self._over.is_set():
            return
        if message["type"] == "http.response.body":
            self._over.set()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def receive(self) -> Message:
        await self._over.wait()
        return {"type": "http.disconnect"}
