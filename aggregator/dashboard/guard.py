"""Who may look: refuses what comes from elsewhere, and asks for the password where there is one."""

import asyncio
import logging
from collections import Counter
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from roommood.aggregator.dashboard.html import render
from roommood.aggregator.dashboard.links import link, own_path
from roommood.aggregator.dashboard.sessions import SESSION_S, Sessions
from roommood.aggregator.dashboard.watched_password import WatchedPassword
from roommood.shared.process.logs import RateLimitedLog
from roommood.shared.process.settings import DashboardSettings
from roommood.shared.security.page_password import given_password

COOKIE: Final = "roommood_session"
# What a wrong password costs; how many of one address, and in all, may be waiting for that at once.
WRONG_COSTS_S: Final = 1.0
_MOST_WRONG_OF_ONE: Final = 5
_MOST_WRONG_AT_ONCE: Final = 1_000
_MOST_FORM_BYTES: Final = 4_096
_OPEN_PATHS: Final = ("/login", "/assets/dashboard.css", "/favicon.ico", "/healthz")
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# At the first a page asks whether it would be refused.
_PAGE_ASKS: Final = ("/origin", "/_nicegui_ws/")
_POST_PATHS: Final = ("/login", *_PAGE_ASKS)
_READS: Final = frozenset({"GET", "HEAD"})
_MOST_SHOWN_CHARS: Final = 100

_log = logging.getLogger(__name__)


class Guard:
    """Stands before everything, web sockets too."""

    def __init__(self, app: ASGIApp, settings: DashboardSettings) -> None:
        self._app = app
        self._names = _LOCAL_NAMES | {settings.host, *map(_name_in, settings.public_origins)}
        self._origins = settings.public_origins
        path = settings.password_file
        self._password = WatchedPassword(path) if path is not None else None
        self._wrong: Counter[str] = Counter()
        self._limited_log = RateLimitedLog(_log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(HTTPConnection(scope), receive)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401})
        else:
            await refusal(scope, receive, send)

    async def _refusal(self, asked: HTTPConnection, receive: Receive) -> Response | None:
        path = own_path(asked.scope)
        if path == "/healthz" and asked.scope["type"] == "http" and _is_reading(asked):
            return PlainTextResponse("ok\n")
        if not self._is_for_us(asked):
            return self._elsewhere("asked for under a name that is not this page's", asked)
        if self._is_cross_site(asked):
            return self._elsewhere("asked by a page of another address", asked)
        if not _is_reading(asked):
            return PlainTextResponse(
                "there is only something to GET\n", 405, {"allow": "GET, HEAD"}
            )
        refusal = await self._unknown(path, asked, receive)
        return Response(status_code=204) if refusal is None and path == "/origin" else refusal

    async def _unknown(self, path: str, asked: HTTPConnection, receive: Receive) -> Response | None:
        """What is answered to who has not given the password; None where none is asked for."""
        if self._password is None:
            return None
        sessions = self._password.sessions
        if path == "/login" and asked.scope["type"] == "http":
            return await self._login(Request(asked.scope, receive), sessions)
        if path in _OPEN_PATHS or await self._is_known(asked, sessions):
            return None
        return _ask(asked)

    def _is_for_us(self, asked: HTTPConnection) -> bool:
        """Without a password, a page elsewhere whose name was made to point here is refused; also
        behind a proxy, which this computer's browsers pass by."""
        if self._password is not None:
            return True
        return _host_name(asked.headers.get("host", "")) in self._names

    def _is_cross_site(self, asked: HTTPConnection) -> bool:
        """A browser says where a web socket or a form comes from; it is to be from our own page,
        whose address a proxy may have hidden from us."""
        origin = asked.headers.get("origin")
        if origin is None or (asked.scope["type"] == "http" and asked.scope["method"] in _READS):
            return False
        host = asked.headers.get("host", "")
        return origin.partition("://")[2] != host and origin not in self._origins

    def _elsewhere(self, why: str, asked: HTTPConnection) -> Response:
        host, origin = (
            asked.headers.get(name, "")[:_MOST_SHOWN_CHARS] for name in ("host", "origin")
        )
        self._limited_log.event(
            why, host=host, origin=origin, todo="--public-url, if a server in front has the page"
        )
        return PlainTextResponse(
            f"{why.capitalize()}: Host {host!r}, Origin {origin!r}.\nIf a server of yours has this "
            "page there, start `roommood dashboard` with that address, and its path if it has one: "
            f"--public-url {origin or f'https://{host}'}/\n",
            421,
        )

    # The password

    async def _is_known(self, asked: HTTPConnection, sessions: Sessions) -> bool:
        if sessions.holds(_cookie(asked)):
            return True
        given = given_password(asked.headers.get("authorization", ""))
        return given is not None and await self._is_right(given, sessions, _address(asked))

    async def _is_right(self, given: str, sessions: Sessions, address: str) -> bool:
        """A wrong password costs its address a second; with several at once all of this address
        fail, right ones too, so that guessing is slow. Nobody else's does."""
        wrong = self._wrong
        if wrong[address] >= _MOST_WRONG_OF_ONE or wrong.total() >= _MOST_WRONG_AT_ONCE:
            return False
        if sessions.is_password(given):
            return True
        wrong[address] += 1
        try:
            await asyncio.sleep(WRONG_COSTS_S)
        finally:
            wrong[address] -= 1
            if not wrong[address]:
                del wrong[address]
        return False

    async def _login(self, asked: Request, sessions: Sessions) -> Response:
        if asked.method in _READS:
            # Without its last slash the page's own path is not one that its cookie is for.
            is_known = sessions.holds(_cookie(asked))
            return RedirectResponse(link("/"), 303) if is_known else _form(wrong=False)
        if asked.method != "POST":
            return PlainTextResponse("GET or POST\n", 405)
        body = await _body(asked)
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4)
        given = fields.get("password", [""])[0]
        if not await self._is_right(given, sessions, _address(asked)):
            return _form(wrong=True)
        answer = RedirectResponse(link("/"), 303)
        answer.set_cookie(
            COOKIE,
            sessions.begin(),
            max_age=SESSION_S,
            path=link("/"),
            httponly=True,
            samesite="strict",
            secure="https" in (asked.url.scheme, asked.headers.get("origin", "").split(":")[0]),
        )
        return answer


def _address(asked: HTTPConnection) -> str:
    """Who asks; behind a proxy, whom it asks for (uvicorn takes that from a local proxy alone)."""
    return asked.client.host if asked.client else ""


def _name_in(origin: str) -> str:
    return _host_name(origin.partition("://")[2])


def _host_name(host: str) -> str:
    """Without its port and brackets; "" where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_reading(asked: HTTPConnection) -> bool:
    """All but the password is asked for with GET, and by web sockets or what stands in for them."""
    scope = asked.scope
    return (
        scope["type"] == "websocket"
        or scope["method"] in _READS
        or (scope["method"] == "POST" and own_path(scope).startswith(_POST_PATHS))
    )


def _ask(asked: HTTPConnection) -> Response:
    """People are shown a form, programs are asked as RFC 7617 says; not what an open page asks
    with, for which a browser would wait until somebody has filled in a box of its own."""
    if "text/html" in asked.headers.get("accept", ""):
        return RedirectResponse(link("/login"), 303)
    is_open_page = own_path(asked.scope).startswith(_PAGE_ASKS)
    scheme = "Form" if is_open_page else "Basic"
    challenge = {"WWW-Authenticate": f'{scheme} realm="roommood", charset="UTF-8"'}
    return JSONResponse({"detail": "the password is needed"}, 401, challenge)


def _form(wrong: bool) -> Response:
    return Response(
        render("login.html", wrong=wrong), 401 if wrong else 200, media_type="text/html"
    )


async def _body(asked: Request) -> bytes:
    """As much of a form as a password needs."""
    body = b""
    async for part in asked.stream():
        body += part
        if len(body) > _MOST_FORM_BYTES:
            return b""
    return body


def _cookie(asked: HTTPConnection) -> str:
    try:
        morsel = SimpleCookie(asked.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
