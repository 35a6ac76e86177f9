"""What all pages have: header, a banner while Redis is away, footer; and how they follow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

from nicegui import ui

from roommood.aggregator.dashboard.broadcaster import Broadcaster, Listener
from roommood.aggregator.dashboard.cache import SnapshotCache
from roommood.aggregator.dashboard.explanations import explanations
from roommood.aggregator.dashboard.html import clock, render
from roommood.aggregator.dashboard.links import link
from roommood.aggregator.dashboard.pages.parts import block, element, words
from roommood.aggregator.dashboard.zones import PageZone, zone_for
from roommood.shared.process.runtime import release

# What the browser's tab keeps.
_PAUSED = "paused"
_ASK_BROWSER = "[Intl.DateTimeFormat().resolvedOptions().timeZone, {...sessionStorage}]"
# Seconds that a browser may take for that.
_BROWSER_S = 5.0
_PAGES = {"/": "Rooms", "/health": "Cameras and workers"}


@cache
def _explained() -> str:
    return render("explanations.html", explanations=list(explanations()))


class Frame:
    """One open page. It follows the broadcaster until it is closed, or its user pauses it.

    `zone` is by whose clock it tells times. The browser is asked for its own once it is there;
    what tells times waits for that (`once_settled`). `kept` is what the browser's tab remembers.
    """

    def __init__(self, broadcaster: Broadcaster, zone: PageZone, path: str) -> None:
        self._broadcaster = broadcaster
        self._path = path
        self._show: Listener = lambda _cache: None
        self._paused = False
        self._waiting: list[Callable[[], object]] = []
        self.zone = zone
        self.kept: dict[str, str] = {}

    @contextmanager
    def body(self) -> Iterator[None]:
        """Where the page's own elements go: Quasar's page is the `main` of the document, and what
        stands around it belongs into its layout."""
        layout = ui.context.client.layout
        with layout:
            for place, part in enumerate((self._header(), self._banner())):
                part.move(target_index=place)
        with element("div", "rm-main") as main:
            yield
        with layout:
            self._footer()
        ui.skip_link(target=main)

    def follow(self, show: Listener) -> None:
        """Calls `show` now, and whenever there is something new."""
        self._say_zone()
        self._show = show
        self._tell(self._broadcaster.cache)
        ui.context.client.on_delete(self._broadcaster.listen(self._tell))
        ui.timer(0.0, self._settle, once=True)

    def once_settled(self, begin: Callable[[], object]) -> None:
        """Calls `begin` when it is known by whose clock the page tells times."""
        self._waiting.append(begin)

    def _header(self) -> ui.element:
        with element("header", "rm-header") as header:
            brand = words("a", "roommood", "rm-brand")
            brand.props["href"] = link("/")
            with element("nav", aria_label="Pages"):
                for path, title in _PAGES.items():
                    page = words("a", title)
                    page.props["href"] = link(path)
                    if path == self._path:
                        page.props["aria-current"] = "page"
            with element("div", "rm-status"):
                self._status = words("span", "", "rm-pill")
                self._status.props["role"] = "status"
                self._pause = words("button", "Pause", "rm-button")
                self._pause.props["type"] = "button"
                self._pause.on("click", self._toggle)
        return header

    def _banner(self) -> ui.element:
        with element("div", "rm-banner", role="alert") as self._alert:
            self._why = words("p", "")
        self._alert.set_visibility(False)
        return self._alert

    def _footer(self) -> None:
        with element("footer", "rm-footer"):
            block("rm-block rm-why").content = _explained()
            words("p", "This is the expression shown on faces, not what anybody feels.")
            self._times = words("p", "")
            with element("p"):
                words("span", f"roommood {release()} · ")
                words("a", "JSON API").props["href"] = link("/api/openapi.json")

    async def _settle(self) -> None:
        """A pause holds for the browser's tab, from page to page."""
        with suppress(TimeoutError):
            zone, self.kept = await ui.run_javascript(_ASK_BROWSER, timeout=_BROWSER_S)
            self.zone = zone_for(self.zone, zone)
            if self.kept.get(_PAUSED) == "yes":
                self._set_paused(True)
        self._say_zone()
        self._tell(self._broadcaster.cache)
        for begin in self._waiting:
            begin()

    def _say_zone(self) -> None:
        self._times.text = f"Times are {self.zone.name}, {self.zone.whose}."

    def _toggle(self) -> None:
        self._set_paused(not self._paused)
        self.keep(_PAUSED, "yes" if self._paused else "no")

    def keep(self, name: str, value: str) -> None:
        """For the browser's tab, from page to page; `name` and `value` are words of ours."""
        self.kept[name] = value
        ui.run_javascript(f"sessionStorage.setItem('{name}', '{value}')")

    def _set_paused(self, paused: bool) -> None:
        self._paused = paused
        self._pause.text = "Go on" if paused else "Pause"
        self._tell(self._broadcaster.cache, even_if_paused=True)

    def _tell(self, cache: SnapshotCache, even_if_paused: bool = False) -> None:
        away = cache.snapshot.away
        if self._paused and not even_if_paused and not away:
            return
        self._say_state(cache)
        self._show(cache)

    def _say_state(self, cache: SnapshotCache) -> None:
        snapshot = cache.snapshot
        text, mood = (
            ("live, with a warning", "rm-waiting") if snapshot.warnings else ("live", "rm-good")
        )
        if snapshot.away:
            text, mood = "Redis is away", "rm-bad"
        elif self._paused:
            text, mood = f"as of {clock(snapshot.taken, self.zone.zone)}", "rm-waiting"
        self._status.text = text
        self._status.classes(replace=f"rm-pill {mood}")
        self._alert.set_visibility(bool(snapshot.away or snapshot.warnings))
        self._why.text = " ".join(snapshot.warnings)
        if snapshot.away:
            since = (
                f" since {clock(snapshot.away_since, self.zone.zone)}"
                if snapshot.away_since
                else ""
            )
            self._why.text = f"No answer{since}. {snapshot.away} This page goes on by itself."
