"""The soak's own verdict: what it takes for a leak, and what not."""

from tests.faults.soak import LOOK_EVERY_S, Look, Watched, data_bytes, wrong_with
from tests.redis_server import RedisServer

_LOOKS = 360
_ARGUMENTS = 30
_ARGUMENT = "x" * 100


def _watched(threads: list[int]) -> Watched:
    looks = [Look(n * LOOK_EVERY_S, 50_000, 30_000, 20, count) for n, count in enumerate(threads)]
    return Watched("camera 1", 0, looks)


def test_threads_that_come_and_go_are_no_leak() -> None:
    assert wrong_with(_watched([6] * (_LOOKS - 3) + [8] * 3).summary()) == []


def test_a_thread_that_stays_is_told() -> None:
    wrong = wrong_with(_watched([6] * 100 + [7] * (_LOOKS - 100)).summary())
    assert wrong == ["camera 1: 7 threads, 6 at first"]


def test_more_threads_than_may_look_up_names_are_told() -> None:
    wrong = wrong_with(_watched([6] * 100 + [15] + [6] * (_LOOKS - 101)).summary())
    assert wrong == ["camera 1: 15 threads, 6 at first"]


def test_the_slow_commands_that_redis_keeps_are_no_data() -> None:
    with RedisServer() as server, server.client() as client:
        before = data_bytes(client)
        client.config_set("slowlog-log-slower-than", 0)
        for _ in range(200):
            client.exists(*[_ARGUMENT] * _ARGUMENTS)
        client.config_set("slowlog-log-slower-than", -1)
        kept = 128 * _ARGUMENTS * len(_ARGUMENT)  # beside what the client's own buffers took
        assert int(client.info("memory")["used_memory_dataset"]) - before > kept
        assert data_bytes(client) - before < kept / 3
