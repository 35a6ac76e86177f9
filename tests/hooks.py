"""What tests replace inside the product: each protection, pace and sense by a name of its own.

Other tests name nothing private. Each hook asserts that what it replaces is there, so that a rename
breaks here and loudly. The rows of `make faults` and `make hostile` have theirs in `controls.py`
and `unprotected.py`, since they run in processes of their own.
"""

import hashlib
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

Patch = pytest.MonkeyPatch


# Protections of what is counted


def script(patch: Patch, store: Any, line: str, instead: str) -> None:
    """The store's script with the one match of a pattern replaced."""
    lua = resources.files("roommood.aggregator.counting").joinpath("count_once.lua").read_text()
    changed, changes = re.subn(line, instead, lua)
    assert changes == 1, f"count_once.lua has {changes} of {line!r}"
    patch.setattr(store, "_script", changed)
    patch.setattr(store, "_digest", hashlib.sha1(changed.encode()).hexdigest())


def no_seen_bits(patch: Patch, store: Any) -> None:
    """Every result is new to the script, whatever its bit says."""
    script(patch, store, r"elseif taken\[bit\] or .* == 1 then", "elseif false then")


def no_bound_on_a_cameras_time(patch: Patch, store: Any) -> None:
    """A camera may claim more time in a bucket than there is."""
    bound = "    if grow.observed[i] and sum > longest then return nil, TOO_LONG end"
    script(patch, store, re.escape(bound), "")


def no_bound_on_a_cameras_weight(patch: Patch, store: Any) -> None:
    """What a camera claims beyond the bucket counts as looks."""
    bound = "  if time > left then time, weight = left, left / row[6] end"
    script(patch, store, re.escape(bound), "")


def a_future_stays_in_the_live_hash(patch: Patch, store: Any) -> None:
    """What a clock that was ahead has written is taken as live."""
    bound = "      if camera.t <= now_ms + arg.live_max_age_ms then"
    script(patch, store, re.escape(bound), "      if true then")


def silence_ends_when_it_is_judged(patch: Patch, now_ms: Callable[[], float]) -> None:
    """An aggregator's own pause counts as its peers' silence."""
    from roommood.aggregator.aggregator import Aggregator

    assert "_tick_ms" in Aggregator.__init__.__code__.co_names
    judged = property(lambda _: now_ms(), lambda *_: None)
    patch.setattr(Aggregator, "_tick_ms", judged, raising=False)


def claims_are_not_checked(patch: Patch, intake: Any) -> None:
    """A frame is of whatever session has the routing id, whoever sends it."""
    find = intake.sessions.find
    patch.setattr(intake, "_session_of", lambda routing_id, _: find(routing_id))


def nobody_asks_the_authenticator(patch: Patch) -> None:
    """It is bound where libzmq does not look."""
    patch.setattr("roommood.shared.security.zap._ENDPOINT", "inproc://elsewhere")


# Paces: what takes seconds or minutes, shorter


def a_hung_authenticator_is_noticed_after(patch: Patch, hung_ms: float) -> None:
    patch.setattr("roommood.shared.security.zap._LOOK_MS", 20)
    patch.setattr("roommood.shared.security.zap._HUNG_MS", hung_ms)


def quiet_hours_are_looked_at_every(patch: Patch, seconds: float) -> None:
    patch.setattr("roommood.camera_node.capture._REST_S", seconds)


def an_http_camera_is_silent_after(patch: Patch, seconds: float) -> None:
    """At the least; it is longer where the camera is slower."""
    patch.setattr("roommood.camera_node.sources.network.http_camera._LEAST_S", seconds)


def key_frames_are_far_apart_beyond(patch: Patch, seconds: float) -> None:
    patch.setattr("roommood.camera_node.sources.network.stream._TELL_AFTER_S", seconds)


def streams_are_timed_by_their_own_clock(patch: Patch) -> None:
    """Which may be set while they run."""
    from roommood.camera_node.sources.network.stream_clock import StreamClock

    patch.setattr(StreamClock, "captured_ms", lambda _, at_ms, __: at_ms)


def the_doctor_measures_a_source_for(patch: Patch, seconds: float, slowest_part: float) -> None:
    """Fewer pictures than `slowest_part` of what is due are warned of."""
    patch.setattr("roommood.deploy.doctor.doctor._MEASURED_FOR_S", seconds)
    patch.setattr("roommood.deploy.doctor.doctor._FAR_TOO_SLOW", slowest_part)


def the_doctor_takes_a_path_for(
    patch: Patch, *, lost_s: float = 60.0, slow_s: float = 60.0
) -> None:
    """Lossy from `lost_s` to connect, slow from `slow_s`."""
    patch.setattr("roommood.deploy.doctor.network._LOST_S", lost_s)
    patch.setattr("roommood.deploy.doctor.network._SLOW_S", slow_s)


def reports_go_out_unanswered_every(patch: Patch, pace_ms: float) -> None:
    """While their aggregator says nothing."""
    patch.setattr("roommood.inference_worker.serving.reporter._UNANSWERED_PACE_MS", pace_ms)


def the_exporter_reads_anew(exporter: Any) -> None:
    """At its next scrape, though it has just read."""
    assert hasattr(exporter, "_read_s")
    exporter._read_s = float("-inf")


def a_camera_says_of_itself(patch: Patch, publisher: Any, hello: Callable[[], Any]) -> None:
    """In each Hello from now on."""
    patch.setattr(publisher, "_hello", hello)
    patch.setattr(publisher, "_source_status", lambda: hello().health.source)


# Senses: what this machine or a server would say


def the_kernels_clock_is(patch: Patch, state: int | None) -> None:
    patch.setattr("roommood.shared.clock_kept._kernel_state", lambda: state)


def redis_is_on_another_machine(patch: Patch) -> None:
    patch.setattr("roommood.deploy.doctor.redis._is_local", lambda _address: False)


def the_default_route_leaves_from(patch: Patch, host: Callable[[], str]) -> None:
    """ "" is a machine without a network."""
    patch.setattr("roommood.shared.transport.advertising._default_interface", lambda _: host())


def discovery_keeps_at_most(patch: Patch, names: int) -> None:
    patch.setattr("roommood.shared.transport.discovery._MOST_NAMES", names)


def redis_tells_the_time(patch: Patch, guard: Any, clock: Callable[[], float]) -> None:
    patch.setattr(guard, "_redis_clock_ms", clock)
