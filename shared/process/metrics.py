"""Readiness, health and Prometheus metrics over HTTP, read from samples that the core keeps.

/healthz   200 while the component's loop turns, else 503
/readyz    200 once it does its work (a model is loaded, a socket bound), else 503
/metrics   Prometheus text format
"""

import contextlib
import ipaddress
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import urlsplit

from roommood.shared.errors import ConfigError
from roommood.shared.process.listening import HttpServer, listen, netloc
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.process.runtime import release
from roommood.shared.process.service import ServiceManager
from roommood.shared.process.settings import Component

MOST_REQUESTS: Final = 64
_STALLED_AFTER_S: Final = 10.0
_NOT_FOR_US: Final = (
    b"this is served to localhost and 127.0.0.1 alone, and was asked for by another name: "
    b"let a proxy send one of these as Host, or serve it at an address that others reach\n"
)
_log = logging.getLogger(__name__)
_limited_log = RateLimitedLog(_log)


@dataclass(frozen=True, slots=True)
class Sample:
    """One number: a counter's name ends in `_total`; others are gauges with their unit."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def outcome_samples(
    name: str, help: str, counts: Mapping[str, int], always: Iterable[str] = ()
) -> Iterator[Sample]:
    """A counter by `outcome` and `reason`: "refused-stale" is refused, because stale.

    `always` are outcomes that are told even while they are 0.
    """
    for key in dict.fromkeys([*always, *counts]):
        outcome, _, reason = key.partition("-")
        labels = {"outcome": outcome, "reason": reason}
        yield Sample(name, help, counts.get(key, 0), labels)


class Health:
    """What the HTTP server and the service manager are told; the component's loop calls `tick`."""

    def __init__(self, component: str) -> None:
        self.component = component
        self._ready = False
        self._faults: dict[str, str] = {}
        self.detail: dict[str, object] = {}
        self._ticked = time.monotonic()
        self._manager = ServiceManager()

    def tick(self) -> None:
        self._ticked = time.monotonic()
        self._manager.turning("ready" if self.ready else "not ready")

    def draining(self) -> None:
        """No longer ready: it finishes what is under way."""
        self.ready = False
        self._manager.stopping()

    def fail(self, part: str, why: str) -> None:
        """What keeps it from its work whatever else is well; "" for a part that no longer does."""
        self._faults[part] = why

    @property
    def fault(self) -> str:
        """All that keeps it from its work, "" if nothing does."""
        return "; ".join(filter(None, list(self._faults.values())))

    @property
    def ready(self) -> bool:
        return self._ready and not self.fault

    @ready.setter
    def ready(self, ready: bool) -> None:
        self._ready = ready

    @property
    def live(self) -> bool:
        return time.monotonic() - self._ticked < _STALLED_AFTER_S

    def samples(self) -> Iterator[Sample]:
        """What every component tells: that it lives, its release, and its clock."""
        labels = {"component": self.component}
        yield Sample("roommood_live", "1 while the component's loop turns.", self.live, labels)
        yield Sample(
            "roommood_ready", "1 while it does its work.", self.live and self.ready, labels
        )
        yield Sample("roommood_build_info", "Release.", 1, {**labels, "version": release()})
        yield Sample("roommood_clock_seconds", "Its wall clock, since 1970.", time.time(), labels)


def serve(
    host: str, port: int, health: Health, samples: Callable[[], Iterable[Sample]]
) -> Callable[[], None]:
    """Serves from a daemon thread; returns what stops it. Raises ConfigError if it cannot."""
    handler = type("Handler", (_Handler,), {"health": health, "samples": staticmethod(samples)})
    try:
        server = _Server(listen(host, port), handler)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(f"cannot serve metrics at {netloc(host, port)}: {error}") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    url = f"http://{netloc(host, server.server_port)}/metrics"
    event(_log, logging.INFO, "metrics served", url=url)

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop


def serve_if_asked(
    settings: Component, health: Health, samples: Callable[[], Iterable[Sample]]
) -> Callable[[], None]:
    """Serves where the settings say so; returns what stops it. Raises ConfigError."""
    if settings.metrics_port is None:
        return lambda: None
    return serve(settings.metrics_host, settings.metrics_port, health, samples)


def render(samples: Iterable[Sample]) -> bytes:
    """Prometheus text of the samples, sorted into families."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(list(samples)))
    return bytes(generate_latest(registry))


class _Server(HttpServer):
    """Few requests at once, each for a short time: a peer may be slow on purpose. For one more the
    oldest is cut, since an honest one takes milliseconds."""

    _PATIENCE_S: Final = 15.0

    def __init__(self, listener: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        self._since: dict[socket.socket, float] = {}
        super().__init__(listener, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        open_now = list(self._since)
        for oldest in open_now[: max(0, len(open_now) + 1 - MOST_REQUESTS)]:
            self._since.pop(oldest, None)
            _end(oldest)
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        event(_log, logging.DEBUG, "metrics request failed", why=repr(sys.exception()))

    def service_actions(self) -> None:
        """Called twice a second: cuts what takes too long, which ends its thread."""
        for request, since in list(self._since.items()):
            if time.monotonic() - since > self._PATIENCE_S:
                _end(request)


def _end(request: socket.socket) -> None:
    """Its thread reads no more, and closes it."""
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Collector:
    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import Metric

        families: dict[str, Any] = {}
        for sample in self._samples:
            name = sample.name.removesuffix("_total")
            family = families.setdefault(sample.name, Metric(name, sample.help, _kind(sample)))
            family.add_sample(sample.name, dict(sorted(sample.labels.items())), sample.value)
        yield from families.values()


def _kind(sample: Sample) -> str:
    """As Prometheus calls it."""
    if sample.name.endswith("_total"):
        return "counter"
    return "summary" if "quantile" in sample.labels else "gauge"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Handler(BaseHTTPRequestHandler):
    health: Health
    samples: Callable[[], Iterable[Sample]]
    server_version = "roommood"
    timeout = 10

    def do_GET(self) -> None:
        try:
            path, is_for_us = urlsplit(self.path).path, self._is_for_us()
        except ValueError as error:
            self._answer(400, "text/plain", f"not an address: {error}\n".encode())
            return
        if not is_for_us:
            self._answer(421, "text/plain", _NOT_FOR_US)
        elif path == "/metrics":
            self._answer_metrics()
        elif path in ("/healthz", "/readyz"):
            good = self.health.live and (self.health.ready or path == "/healthz")
            self._answer(200 if good else 503, "application/json", self._state())
        else:
            self._answer(404, "text/plain", b"/healthz, /readyz and /metrics are here\n")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _is_for_us(self) -> bool:
        """Where only this machine may ask, a web page whose name was made to point here may not."""
        if not _is_loopback(str(self.connection.getsockname()[0])):
            return True
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        return name in (None, "localhost") or _is_loopback(name)

    def _answer_metrics(self) -> None:
        try:
            text = render([*self.health.samples(), *self.samples()])
        except Exception as error:  # else who scrapes sees a connection cut, and the log nothing
            _limited_log.event("metrics failed", why=repr(error))
            self._answer(500, "text/plain", b"the metrics cannot be told: the log says why\n")
            return
        self._answer(200, "text/plain; version=0.0.4; charset=utf-8", text)

    def _state(self) -> bytes:
        health = self.health
        state: dict[str, object] = {
            "component": health.component,
            "live": health.live,
            "ready": health.ready,
        }
        if health.fault:
            state["fault"] = health.fault
        return json.dumps({**state, **health.detail}, default=str).encode() + b"\n"

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        _log.debug(format, *args)
