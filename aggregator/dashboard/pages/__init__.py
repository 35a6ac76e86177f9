"""The pages, built with NiceGUI; it serves them with all that they need from its own files."""

from collections.abc import Callable
from datetime import datetime

from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from roommood.aggregator.dashboard.archive import Archive
from roommood.aggregator.dashboard.broadcaster import Broadcaster
from roommood.aggregator.dashboard.html import render
from roommood.aggregator.dashboard.links import link
from roommood.aggregator.dashboard.pages.health import health_page
from roommood.aggregator.dashboard.pages.overview import overview_page
from roommood.aggregator.dashboard.pages.room import room_page
from roommood.aggregator.dashboard.pages.unopened import UNOPENED_S, UnopenedPages
from roommood.aggregator.dashboard.switches import Switches
from roommood.aggregator.dashboard.zones import PageZone
from roommood.shared.protocol.names import is_name

# How long a phone may be out of reach before its page is made anew.
_RECONNECT_S = 20.0
_TICK_S = 5.0


def mount(
    app: FastAPI,
    broadcaster: Broadcaster,
    archive: Archive,
    switches: Switches | None,
    zone: PageZone,
) -> None:
    """Adds the pages to an app, at most one in each process: NiceGUI keeps them in one place."""
    unopened = UnopenedPages()

    @ui.page("/", title="Rooms – roommood")
    def overview() -> Response | None:
        return _open(unopened, lambda: overview_page(broadcaster, zone))

    @ui.page("/health", title="Cameras and workers – roommood")
    def health() -> Response | None:
        return _open(unopened, lambda: health_page(broadcaster, zone))

    @ui.page("/room/{name}")
    def room(name: str, hour: str = "") -> Response | None:
        if not is_name(name):
            return _instead(HTMLResponse(render("not_found.html", path=f"/room/{name}"), 404))
        return _open(
            unopened,
            lambda: room_page(broadcaster, archive, switches, zone, name, hour_of(hour)),
        )

    @nicegui_app.exception_handler(404)
    async def not_found(request: Request, _: Exception) -> Response:
        return HTMLResponse(render("not_found.html", path=request.url.path), 404)

    nicegui_app.timer(_TICK_S, unopened.tick)
    sheet, script = link("/assets/dashboard.css"), link("/assets/refused.js")
    ui.add_head_html(f'<link rel="stylesheet" href="{sheet}">', shared=True)
    ui.add_head_html(f'<script defer src="{script}"></script>', shared=True)
    ui.run_with(
        app,
        title="roommood",
        dark=None,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=_RECONNECT_S,
        message_history_length=100,
        gzip_middleware_factory=None,
        show_welcome_message=False,
        favicon=_FAVICON,
    )


def hour_of(text: str) -> datetime | None:
    """The hour that an address names (2026-11-26T14:00Z); None for none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _open(unopened: UnopenedPages, build: Callable[[], None]) -> Response | None:
    """Builds a page, which NiceGUI then serves, unless there are too many."""
    refusal = unopened.take(ui.context.client)
    if refusal:
        # A browser that was sent away asks again by itself, as the page of a wall has nobody to.
        later = {"retry-after": f"{UNOPENED_S:.0f}", "refresh": f"{UNOPENED_S:.0f}"}
        return _instead(PlainTextResponse(f"{refusal}\n", 503, later))
    build()
    return None


def _instead(answer: Response) -> Response:
    """What is served in place of a page, which NiceGUI would otherwise keep for a minute."""
    ui.context.client.delete()
    return answer


_FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<rect width="16" height="16" rx="4" fill="#2b6cb0"/>'
    '<path d="M3 11h2V7H3zm4 0h2V4H7zm4 0h2V9h-2z" fill="#fff"/></svg>'
)
