"""Which span of time a history shows, and with which it is compared: the controls for it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from roommood.aggregator.dashboard import windows
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.parts import Choice, Select, element, words
from roommood.aggregator.stats.calendar import Span, steps

_ALONE, _BEFORE = "alone", "before"
_COMPARED: Final = {_ALONE: "nothing", _BEFORE: "the one before"}
# Those who look at the same share an answer: for them it is now for so long.
_SAME_NOW_S: Final = 5


@dataclass(frozen=True, slots=True)
class Chosen:
    """A span, the rows in which it is shown, and the same of the span beside it; none: ().
    `note` says why there is none although it was asked for."""

    window: str
    bucket: str
    span: Span
    rows: tuple[Span, ...]
    before: Span | None = None
    bucket_before: str = ""
    rows_before: tuple[Span, ...] = ()
    note: str = ""


class PeriodChoice:
    """Buttons for what is asked most, a day of one's own, the length of a row."""

    def __init__(self, frame: Frame, on_change: Callable[[], Any]) -> None:
        self._frame = frame
        self._on_change = on_change
        self._span: Span | None = None
        titles = {name: window.title for name, window in windows.WINDOWS.items()}
        self._window = Choice("Period", titles, "hour", self._window_chosen)
        self._day = _DayField(lambda: self._window_chosen(windows.A_DAY))
        self._bucket = Select("by", {}, "", lambda _: on_change())
        self._compared = Select("Beside it", _COMPARED, _ALONE, lambda _: on_change())
        self._offer_buckets()

    def _window_chosen(self, window: str) -> None:
        self._span = None
        self._day.show(window == windows.A_DAY, self._today())
        self._offer_buckets()
        self._on_change()

    def show_span(self, span: Span) -> None:
        """An hour that was pressed elsewhere, until another period is chosen."""
        self._span = span
        self._window.press("")
        self._day.show(False, self._today())
        self._offer_buckets()
        self._on_change()

    def _offer_buckets(self) -> None:
        now = datetime.now(UTC)
        if self._span is not None:
            buckets = windows.buckets_of_hour(self._span, now)
        else:
            buckets = windows.buckets_of(self._window.value, self._day.value, now)
        self._bucket.offer({bucket: windows.BUCKETS[bucket][0] for bucket in buckets}, buckets[0])

    def _today(self) -> str:
        return datetime.now(self._frame.zone.zone).date().isoformat()

    @property
    def chosen(self) -> Chosen:
        """As of now. Raises ConfigError for a day that is none, or lies ahead."""
        window, bucket, zone = self._window.value, self._bucket.value, self._frame.zone.zone
        now = _now()
        span = self._span or windows.span_of(window, self._day.value, bucket, now, zone)
        alone = Chosen(window, bucket, span, tuple(steps(span, windows.length_of(bucket), zone)))
        if self._compared.value == _ALONE:
            return alone
        before = windows.span_before(span, window, zone)
        finest = windows.bucket_before(bucket, before, now)
        if not finest:
            return replace(alone, note=". The one before is not kept any more")
        rows = tuple(steps(before, windows.length_of(finest), zone))
        return replace(alone, before=before, bucket_before=finest, rows_before=rows)


class _DayField:
    """A day to pick, shown once it is asked for."""

    def __init__(self, on_change: Callable[[], Any]) -> None:
        self.value = ""
        self._on_change = on_change
        with element("label", "rm-select") as self._label:
            words("span", "which")
            self._field = element("input", type="date")
        self._field.on("change", self._changed, js_handler="(e) => emit(e.target.value)")
        self._label.set_visibility(False)

    def show(self, shown: bool, today: str) -> None:
        self._label.set_visibility(shown)
        self.value = self.value or today
        self._field.props["value"] = self.value
        self._field.props["max"] = today
        self._field.update()

    def _changed(self, event: Any) -> None:
        if is_day(event.args):
            self.value = event.args
            self._on_change()


def is_day(text: object) -> bool:
    """Whether a browser's date field gave a day: it gives "" while one is being typed."""
    try:
        return isinstance(text, str) and bool(datetime.fromisoformat(text)) and len(text) == 10
    except ValueError:
        return False


def _now() -> datetime:
    moment = datetime.now(UTC)
    return moment - timedelta(seconds=moment.second % _SAME_NOW_S, microseconds=moment.microsecond)
