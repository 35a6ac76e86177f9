"""Small things that pages are made of."""

from collections.abc import Callable
from typing import Any

from nicegui import ui

from roommood.aggregator.dashboard.charts import Options


def element(tag: str, classes: str = "", **attributes: str) -> ui.element:
    """An HTML element; `aria_label="x"` becomes `aria-label="x"`."""
    made = ui.element(tag).classes(classes)
    for name, value in attributes.items():
        made.props[name.rstrip("_").replace("_", "-")] = value
    return made


def words(tag: str, text: str, classes: str = "") -> ui.label:
    """An element of text."""
    label = ui.label(text).classes(classes)
    label.tag = tag
    return label


def block(classes: str = "") -> ui.html:
    """A place for HTML made by our templates, which escape what comes from Redis."""
    return ui.html("", sanitize=False).classes(classes)


class Chart:
    """An ECharts picture of which a screen reader hears `label`, and where to find the figures."""

    def __init__(
        self, classes: str, label: str, on_press: Callable[[Any], None] | None = None
    ) -> None:
        press = None if on_press is None else lambda event: on_press(event.value)
        chart = ui.echart({}, renderer="svg", on_point_click=press)
        self._chart = chart.classes(f"rm-chart {classes}")
        self._chart.props["role"] = "img"
        self._shown: Options = {}
        self.label(label)

    def label(self, text: str) -> None:
        self._chart.props["aria-label"] = text

    def show(self, options: Options) -> None:
        """Draws it anew if it has changed."""
        if options is self._shown or options == self._shown:
            return
        self._shown = options
        self._chart.options.clear()
        self._chart.options.update(options)
        self._chart.update()

    def hide(self, hidden: bool) -> None:
        self._chart.set_visibility(not hidden)


class Choice:
    """Buttons of which one is pressed."""

    def __init__(
        self, label: str, options: dict[str, str], value: str, on_change: Callable[[str], Any]
    ) -> None:
        self.value = value
        self._on_change = on_change
        self._buttons: dict[str, ui.element] = {}
        with element("div", "rm-choice", role="group", aria_label=label):
            for option, text in options.items():
                self._buttons[option] = self._button(option, text)
        self._press()

    def _button(self, option: str, text: str) -> ui.element:
        button = words("button", text)
        button.props["type"] = "button"
        return button.on("click", lambda: self.choose(option))

    def choose(self, option: str) -> Any:
        """What `on_change` returns: NiceGUI awaits it where that is a coroutine."""
        if option == self.value:
            return None
        self.press(option)
        return self._on_change(option)

    def press(self, option: str) -> None:
        """Shows this one as chosen."""
        if option != self.value:
            self.value = option
            self._press()

    def _press(self) -> None:
        for option, button in self._buttons.items():
            button.props["aria-pressed"] = "true" if option == self.value else "false"
            button.update()


class Select:
    """A native list to choose from."""

    def __init__(
        self, label: str, options: dict[str, str], value: str, on_change: Callable[[str], Any]
    ) -> None:
        self.value = value
        self._on_change = on_change
        with element("label", "rm-select") as self._label:
            words("span", label)
            self._list = element("select")
        self.offer(options, value)
        self._list.on("change", self._changed, js_handler="(e) => emit(e.target.value)")

    def offer(self, options: dict[str, str], value: str) -> None:
        """These options instead of those before."""
        self.value = value
        self._options = options
        self._list.clear()
        with self._list:
            for option, text in options.items():
                element = words("option", text)
                element.props["value"] = option
                if option == value:
                    element.props["selected"] = True

    def show(self, shown: bool) -> None:
        self._label.set_visibility(shown)

    def _changed(self, event: Any) -> None:
        if event.args in self._options:
            self.value = event.args
            self._on_change(self.value)


class Field:
    """A line of text to fill in; `on_change` is told of it while it is written."""

    def __init__(self, label: str, kind: str, on_change: Callable[[str], Any]) -> None:
        self.value = ""
        self._on_change = on_change
        with element("label", "rm-select") as self.label:
            words("span", label)
            self.input = element("input", type=kind, autocomplete="off", maxlength="64")
        self.input.on(
            "input", self._changed, throttle=0.2, leading_events=False,
            js_handler="(e) => emit(e.target.value)",
        )  # fmt: skip

    def hint(self, text: str) -> None:
        """What stands there while nothing is filled in."""
        if self.input.props.get("placeholder") != text:
            self.input.props["placeholder"] = text
            self.input.update()

    def _changed(self, event: Any) -> None:
        if isinstance(event.args, str):
            self.value = event.args[:64]
            self._on_change(self.value)


class Folded:
    """What opens on demand, and is only made once it was opened."""

    def __init__(self, title: str, make: Callable[[], str]) -> None:
        self._make = make
        self._was_opened = False
        with element("details", "rm-folded") as details:
            words("summary", title)
            self._body = block()
        details.on("toggle", self._open)

    def _open(self) -> None:
        self._was_opened = True
        self.refresh()

    def refresh(self) -> None:
        if self._was_opened:
            self._body.content = self._make()
