"""Every room at a glance: cards where they are few, a list where they are many."""

from roommood.aggregator.dashboard.broadcaster import Broadcaster
from roommood.aggregator.dashboard.cache import SnapshotCache
from roommood.aggregator.dashboard.html import render
from roommood.aggregator.dashboard.order import ALL_GROUPS, Wanted, groups_of, ordered
from roommood.aggregator.dashboard.pages.card import RoomCard
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.parts import (
    Choice,
    Field,
    Select,
    block,
    element,
    words,
)
from roommood.aggregator.dashboard.pages.room_list import RoomList
from roommood.aggregator.dashboard.snapshot import Room
from roommood.aggregator.dashboard.zones import PageZone

# So many cards and rows are shown at first, and more for each press of the button.
_CARDS_AT_ONCE = 24
_ROWS_AT_ONCE = 100
# Problems told one by one.
_MOST_PROBLEMS = 8
# With fewer rooms there is nothing to look for.
_WORTH_A_FILTER = 7
_CARDS, _LIST, _AS_FITS = "cards", "list", ""


def overview_page(broadcaster: Broadcaster, zone: PageZone) -> None:
    """Builds the page for one who looks."""
    frame = Frame(broadcaster, zone, "/")
    with frame.body():
        words("h1", "Rooms", "rm-title")
        problems = _Problems()
        rooms = _Rooms(frame)

    def show(cache: SnapshotCache) -> None:
        problems.show(cache)
        rooms.show(cache)

    frame.follow(show)


class _Problems:
    """What is wrong on the site, before all else."""

    def __init__(self) -> None:
        with element("section", "rm-card", aria_labelledby="wrong") as self._card:
            words("h2", "What is wrong").props["id"] = "wrong"
            self._list = block("rm-block")

    def show(self, cache: SnapshotCache) -> None:
        problems = cache.once("problems", lambda: cache.snapshot.problems)
        self._card.set_visibility(bool(problems))
        self._list.content = cache.once(
            "problems as a list",
            lambda: render("problems.html", problems=problems, most=_MOST_PROBLEMS),
        )


class _Rooms:
    """Those that are looked for, as cards or as a list."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._cache: SnapshotCache | None = None
        self._cards: dict[str, RoomCard] = {}
        self._shown_more = 0
        self._view = _AS_FITS
        self._controls()
        self._empty = element("div", "rm-card rm-empty")
        with self._empty:
            words("h2", "No room yet")
            words("p", "A room appears here as soon as the first picture of it was counted.")
            words("p", "Nothing at hand to try it with? This starts three simulated cameras:")
            words("pre", "roommood demo --dashboard")
        self._grid = element("div", "rm-rooms")
        self._list = RoomList()
        self._more = words("button", "", "rm-button rm-more").on("click", self._show_more)
        self._more.props["type"] = "button"
        frame.once_settled(self._as_kept)

    def _controls(self) -> None:
        self._groups: list[str] = []
        with element("div", "rm-controls", role="search") as self._bar:
            self._text = Field("Find", "search", self._again)
            self._group = Select("Group", {ALL_GROUPS: "all"}, ALL_GROUPS, self._again)
            views = {_CARDS: "Cards", _LIST: "List"}
            self._choice = Choice("View", views, _CARDS, self._view_chosen)
            self._count = words("span", "", "rm-note")
            self._count.props["role"] = "status"

    def _view_chosen(self, view: str) -> None:
        self._frame.keep("view", view)
        self._view = view
        self._again()

    def _as_kept(self) -> None:
        kept = self._frame.kept.get("view", "")
        if kept in (_CARDS, _LIST):
            self._view = kept
            self._again()

    def _again(self, _: object = None) -> None:
        self._shown_more = 0
        self._redraw()

    def _show_more(self) -> None:
        self._shown_more += 1
        self._redraw()

    def _redraw(self) -> None:
        if self._cache is not None:
            self.show(self._cache)

    def show(self, cache: SnapshotCache) -> None:
        self._cache = cache
        every = cache.snapshot.rooms
        self._empty.set_visibility(not every and not cache.snapshot.away)
        self._offer(list(every))
        choice = Wanted(self._text.value, self._group.value)
        troubled = {
            problem.room for problem in cache.once("problems", lambda: cache.snapshot.problems)
        }
        rooms = cache.once(("rooms", choice), lambda: ordered(every, troubled, choice))
        as_list = self._as_list(len(every))
        self._choice.press(_LIST if as_list else _CARDS)
        most = (_ROWS_AT_ONCE if as_list else _CARDS_AT_ONCE) * (1 + self._shown_more)
        self._count.text = f"{len(rooms)} of {len(every)}"
        self._more.set_visibility(len(rooms) > most)
        self._more.text = f"Show more: {len(rooms) - most} are not shown"
        self._list.show(cache, rooms[:most] if as_list else [])
        self._show_cards(cache, [] if as_list else rooms[:most])

    def _as_list(self, count: int) -> bool:
        return self._view == _LIST or (self._view == _AS_FITS and count > _CARDS_AT_ONCE)

    def _offer(self, rooms: list[Room]) -> None:
        groups = groups_of(rooms)
        self._bar.set_visibility(len(rooms) >= _WORTH_A_FILTER or bool(groups))
        if groups != self._groups:
            self._groups = groups
            value = self._group.value if self._group.value in groups else ALL_GROUPS
            self._group.offer({ALL_GROUPS: "all"} | {group: group for group in groups}, value)
        self._group.show(bool(groups))

    def _show_cards(self, cache: SnapshotCache, rooms: list[Room]) -> None:
        if [room.name for room in rooms] != list(self._cards):
            self._grid.clear()
            with self._grid:
                self._cards = {room.name: RoomCard(room.name, self._frame) for room in rooms}
        for room in rooms:
            self._cards[room.name].show(cache, room)
        self._grid.set_visibility(bool(rooms))
