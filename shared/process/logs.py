"""Log lines for people (text) or machines (one JSON object a line), on stderr."""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Final

_LEVELS: Final = ("debug", "info", "warning", "error")


def setup(log_format: str, level: str, component: str) -> None:
    """Sends every log line of this process to stderr. Call once, first thing in a command."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(component) if log_format == "json" else _Text(component))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def event(logger: logging.Logger, level: int, text: str, **fields: object) -> None:
    """Logs `text` with fields that become `key=value` in text and fields in JSON."""
    if logger.isEnabledFor(level):
        logger.log(level, text, extra={"fields": fields})


class RateLimitedLog:
    """Warnings that a peer can cause at will: a burst of lines, then one every ten seconds.

    A line after a pause says how many were held back. A field that is a function is called for
    its value only where the line is said: what it costs, a peer cannot make us pay at will.
    """

    _BURST: Final = 5
    _PAUSE_S: Final = 10.0

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._left = self._BURST
        self._held_back = 0
        self._quiet_until = 0.0

    def event(self, text: str, **fields: object) -> None:
        more = self._more_if_due()
        if more is not None:
            values = {name: value() if callable(value) else value for name, value in fields.items()}
            event(self._logger, logging.WARNING, text, **values, **more)

    def exception(self, text: str, error: BaseException) -> None:
        """With its traceback: an error that nobody foresaw."""
        more = self._more_if_due()
        if more is not None:
            self._logger.error(text, exc_info=error, extra={"fields": more})

    def filter(self, record: logging.LogRecord) -> bool:
        """As a filter of a library's logger, for lines of its own; what it says of a peer there a
        peer can cause at will as well."""
        more = self._more_if_due()
        if more:
            record.__dict__["fields"] = more
        return more is not None

    def _more_if_due(self) -> dict[str, object] | None:
        """How many lines were held back, if this one is due."""
        now = time.monotonic()
        if now >= self._quiet_until and self._left == 0:
            self._left = 1
        if self._left == 0:
            self._held_back += 1
            return None
        self._left -= 1
        self._quiet_until = now + self._PAUSE_S
        held_back, self._held_back = self._held_back, 0
        return {"held_back": held_back} if held_back else {}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", {})
    return fields if isinstance(fields, dict) else {}


class _Text(logging.Formatter):
    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_plain(value)}" for name, value in _fields(record).items())
        head = f"{_time(record)} {record.levelname:<7} {self._component}: "
        lines = [f"{head}{record.getMessage()}{fields}"]
        if record.exc_info:
            lines += self.formatException(record.exc_info).split("\n")
        return "\n".join(printable(line) for line in lines)


class _Json(logging.Formatter):
    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "component": self._component,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _plain(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return json.dumps(text) if " " in text or not text else text


def printable(text: str) -> str:
    """One line, with escapes for what a terminal would obey: a peer may have sent it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
