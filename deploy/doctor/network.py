"""What `roommood doctor` says of the way to a worker, and of the frames that really go there."""

import socket
import statistics
import struct
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from roommood.deploy.doctor.findings import Finding, fail, ok, skipped, warn
from roommood.deploy.doctor.peer import COMMANDS, greet, peer_finding, speaks_zeromq
from roommood.deploy.site.release import CAMERA_METRICS_PORT
from roommood.shared.transport.addresses import host_of, parse_address
from roommood.shared.transport.reachability import why_not_connected
from roommood.shared.transport.resolver import look_up_within

_CONNECT_TIMEOUT_S: Final = 3.0
LOOKUP_S: Final = 15.0
_CONNECTS: Final = 5
# A first packet that was lost is sent again after a second (RFC 6298, section 2).
_LOST_S: Final = 0.9
_SLOW_S: Final = 0.1
_WEAK_DBM: Final = -70
_SIOCGIFADDR: Final = 0x8915
_RATE_OVER_S: Final = 2.0
_SENT: Final = "roommood_camera_frames_sent_total"
_CAPTURED: Final = "roommood_camera_capture_rate_hertz"


def check_peer(kind: str, address: str | None, keys: Path | None = None) -> Iterator[Finding]:
    """Whether a worker or an aggregator can be reached, by which way, and how fast it is.

    `keys`: as in the setting of that name, with which one that has keys is asked what it is.
    """
    if address is None:
        yield skipped(kind, f"give --{kind} HOST:PORT to see whether one can be reached")
        return
    asked = parse_address(address).removeprefix("tcp://")
    answer = look_up_within(parse_address(address), LOOKUP_S)
    if not answer.addresses:
        todo = "write it as in /etc/hosts or the router's list, or give the number instead"
        yield fail(kind, f"{asked} cannot be reached: {answer.why}", todo)
        return
    failures = []
    for number in answer.addresses:
        shown = asked if number.endswith(asked) else f"{asked} ({number.removeprefix('tcp://')})"
        host, port = host_of(number), int(number.rpartition(":")[2])
        try:
            own_address, greeting = greet(host, port)
        except OSError as error:
            failures.append(why_not_connected(number, error))
            continue
        yield peer_finding(kind, number, shown, greeting, keys)
        if speaks_zeromq(greeting):
            yield path_finding(kind, host, port, own_address)
        return
    todo = f"is {COMMANDS[kind]} running there, on that address, and does a firewall let it be?"
    yield fail(kind, f"{asked} cannot be reached: {'; '.join(failures)}", todo)


def path_finding(kind: str, host: str, port: int, own_address: str) -> Finding:
    """How fast connections come about on the way that leaves from `own_address`."""
    about = f"path to {kind}"
    try:
        took_s = [_connect_s(host, port) for _ in range(_CONNECTS)]
    except OSError as error:
        todo = "a link that comes and goes: try a cable, or a place nearer to the access point"
        return warn(about, f"reached once, then not: {error}", todo)
    name = _interface(own_address)
    link, is_weak = describe_link(name) if name else ("", False)
    by = f"by {link}, " if link else ""
    median_s, longest_s = statistics.median(took_s), max(took_s)
    text = f"{by}connects in {median_s * 1000:.1f} ms, {longest_s * 1000:.1f} at most"
    if longest_s > _LOST_S:
        return warn(about, text, "packets get lost: try a cable, or 5 GHz")
    if median_s > _SLOW_S:
        return warn(about, text, "frames arrive late: is it the same network?")
    if is_weak:
        return warn(about, text, "move it nearer to the access point, or use a cable")
    return ok(about, text)


def _connect_s(host: str, port: int) -> float:
    began = time.perf_counter()
    with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S):
        return time.perf_counter() - began


def _interface(own_address: str) -> str:
    """The interface with this IPv4 address; "" where that cannot be told."""
    if sys.platform != "linux" or ":" in own_address:
        return ""
    import fcntl

    own_bytes = socket.inet_aton(own_address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asker, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue
            if answer[20:24] == own_bytes:
                return name
    return ""


def describe_link(name: str, system: Path = Path("/")) -> tuple[str, bool]:
    """An interface in words, and whether its radio signal is weak; `system` holds sys and proc."""
    folder = system / "sys/class/net" / name
    if (folder / "wireless").exists():
        signal_dbm = _signal_dbm(name, system / "proc/net/wireless")
        if signal_dbm is None:
            return f"{name} (Wi-Fi)", False
        return f"{name} (Wi-Fi, {signal_dbm:.0f} dBm)", signal_dbm < _WEAK_DBM
    try:
        speed = int((folder / "speed").read_text())
    except (OSError, ValueError):
        speed = -1
    return (f"{name} ({speed} Mbit/s)" if speed > 0 else name), False


def _signal_dbm(name: str, table: Path) -> float | None:
    """The fourth column of /proc/net/wireless."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()]
        (row,) = [row for row in rows if row and row[0] == f"{name}:"]
        return float(row[3])
    except (OSError, ValueError, IndexError):
        return None


def check_rate(port: int = CAMERA_METRICS_PORT, over_s: float = _RATE_OVER_S) -> Iterator[Finding]:
    """The frames that the camera node of this machine gets to its worker, as it counts them."""
    try:
        before, began = _camera_counts(port), time.monotonic()
        time.sleep(over_s)
        after, ended = _camera_counts(port), time.monotonic()
    except (OSError, KeyError, ValueError):
        yield skipped("frames to worker", f"no camera node tells its metrics at port {port}")
        return
    sent_hz = (after[_SENT] - before[_SENT]) / (ended - began)
    text = f"{sent_hz:.1f} a second arrive, of {after[_CAPTURED]:.1f} captured"
    if sent_hz <= 0 < after[_CAPTURED]:
        yield warn("frames to worker", text, "is a worker up, and does it let this camera in?")
    else:
        yield ok("frames to worker", text)


def _camera_counts(port: int) -> dict[str, float]:
    """Raises OSError, KeyError where the port serves no camera's metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=3) as answer:
        lines = answer.read().decode().splitlines()
    counts = {line.split()[0]: float(line.split()[-1]) for line in lines if line[:1] not in "#"}
    return {name: counts[name] for name in (_SENT, _CAPTURED)}
