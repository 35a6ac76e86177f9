"""The server: one process, one event loop, one thread that follows Redis."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from roommood.aggregator.dashboard import pages, report
from roommood.aggregator.dashboard.api import make_router
from roommood.aggregator.dashboard.archive import Archive
from roommood.aggregator.dashboard.broadcaster import Broadcaster
from roommood.aggregator.dashboard.connections import Places
from roommood.aggregator.dashboard.events import Events
from roommood.aggregator.dashboard.guard import Guard
from roommood.aggregator.dashboard.head import HeadAsGet
from roommood.aggregator.dashboard.headers import SecurityHeaders
from roommood.aggregator.dashboard.links import BelowPath, serve_below
from roommood.aggregator.dashboard.poller import Poller
from roommood.aggregator.dashboard.switches import Switches
from roommood.aggregator.dashboard.zones import zone_at_first
from roommood.aggregator.redis.servers import Servers
from roommood.shared.errors import ConfigError
from roommood.shared.process.listening import listen, netloc
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.process.runtime import Shutdown, release, shutdown_on_signals
from roommood.shared.process.service import ServiceManager
from roommood.shared.process.settings import DashboardSettings
from roommood.shared.security.page_password import read_page_password

_ASSETS: Final = Path(__file__).parent / "assets"
# Connections at once; beyond them the server answers 503.
_MOST_CONNECTIONS: Final = 1_000
_GOODBYE_S: Final = 3
# Who may say for whom it asks: what runs on this machine.
_PROXIES: Final = ("127.0.0.1", "::1", "::ffff:127.0.0.1")

_log = logging.getLogger(__name__)


def serve(settings: DashboardSettings) -> None:
    """Serves until SIGTERM or Ctrl+C. Raises ConfigError where it cannot listen, or where the
    Redis URL or the password's file is of no use."""
    read_page_password(settings.password_file)  # the guard is made with the first question
    Servers(settings.redis_url, settings.redis_password_file).close()
    if settings.operator_redis_url is not None:
        Servers(settings.operator_redis_url, settings.operator_redis_password_file).close()
    dashboard = Dashboard(settings)
    with _listening(settings) as listener:
        config = uvicorn.Config(
            dashboard.app,
            http=Places(settings.is_behind_proxy).protocol(),
            log_config=None,
            access_log=False,
            server_header=False,
            ws_max_size=1 << 20,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GOODBYE_S,
            proxy_headers=settings.is_behind_proxy,
            forwarded_allow_ips=list(_PROXIES),
        )
        # Each web socket would be a line, and so is all that is no HTTP.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        logging.getLogger("uvicorn.error").addFilter(RateLimitedLog(_log))
        # A proxy that passes no web sockets on is no error: the page then asks again and again.
        logging.getLogger("engineio.server").setLevel(logging.CRITICAL)
        dashboard.url = _url(settings, listener)
        # Uvicorn raises the signal that ended it again; for us a good end is exit code 0.
        with shutdown_on_signals() as shutdown:
            _Server(config, dashboard.say_goodbye, shutdown).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends the endless streams first: it would wait for them. Tells the service manager that its
    loop turns."""

    def __init__(
        self, config: uvicorn.Config, say_goodbye: Callable[[], None], shutdown: Shutdown
    ) -> None:
        super().__init__(config)
        self._say_goodbye = say_goodbye
        self._shutdown = shutdown
        self._manager = ServiceManager()

    async def on_tick(self, counter: int) -> bool:
        self._manager.turning("serving")
        return await super().on_tick(counter) or self._shutdown.requested

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second signal forces, as it does of every component; uvicorn would tell a traceback."""
        if self.should_exit:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._manager.stopping()
        self._say_goodbye()
        await super().shutdown(sockets)


class Dashboard:
    """The poller, the API and the pages, put together as one ASGI app."""

    def __init__(self, settings: DashboardSettings) -> None:
        self._broadcaster = Broadcaster()
        self._archive = Archive(settings.redis_url, settings.redis_password_file)
        self._events = Events(self._broadcaster)
        self._poller = Poller(
            settings.redis_url, settings.redis_password_file, self._broadcaster.publish
        )
        self.app = self._make_app(settings)
        self.url = ""

    def say_goodbye(self) -> None:
        """Ends what would never end by itself."""
        self._events.end()

    def _make_app(self, settings: DashboardSettings) -> FastAPI:
        app = FastAPI(
            title="roommood",
            summary="The expression that each room shows, now and then.",
            version=release(),
            openapi_url="/api/openapi.json",
            docs_url=None,
            redoc_url=None,
            lifespan=self._lifespan,
        )
        app.include_router(make_router(self._broadcaster, self._archive, self._events))
        app.include_router(report.make_router(self._archive))
        app.mount("/assets", StaticFiles(directory=_ASSETS))
        # The last one added is the first to be asked, and the last to see the answer.
        app.add_middleware(Guard, settings=settings)
        app.add_middleware(SecurityHeaders)
        app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=6)
        app.add_middleware(HeadAsGet)
        app.add_middleware(BelowPath, base_path=settings.base_path)
        serve_below(settings.base_path)
        pages.mount(
            app, self._broadcaster, self._archive, switches(settings),
            zone_at_first(settings.timezone),
        )  # fmt: skip
        return app

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        self._broadcaster.attach(asyncio.get_running_loop())
        self._poller.start()
        event(_log, logging.INFO, "dashboard ready", url=self.url)
        try:
            yield
        finally:
            self._broadcaster.attach(None)
            self._poller.stop()


def switches(settings: DashboardSettings) -> Switches | None:
    """None where the page only reads."""
    if settings.operator_redis_url is None:
        return None
    return Switches(settings.operator_redis_url, settings.operator_redis_password_file)


def _listening(settings: DashboardSettings) -> socket.socket:
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        raise ConfigError(f"cannot serve the dashboard at {settings.bind}: {error}") from error


def _url(settings: DashboardSettings, listener: socket.socket) -> str:
    return f"http://{netloc(settings.host, listener.getsockname()[1])}/"
