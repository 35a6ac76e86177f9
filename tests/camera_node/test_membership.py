"""Which workers a camera uses: what it was told for ever, what it learned while it is heard."""

from collections import Counter

import pytest

from roommood.camera_node.membership import Membership, usable
from roommood.shared.protocol.limits import (
    LEARNED_WORKER_DROP_MS,
    MAX_ADDRESSES,
    MAX_WORKERS_PER_CAMERA,
)

NOW = 50_000.0
HOME = "tcp://desk:5701"


def worker(n: int) -> str:
    return f"tcp://desk-{n}:5701"


def workers(count: int) -> list[str]:
    return [worker(n) for n in range(count)]


@pytest.fixture
def membership() -> Membership:
    return Membership("door", [HOME])


def test_a_camera_needs_one_address(membership: Membership) -> None:
    assert membership.addresses(NOW) == [HOME]
    assert membership.addresses(NOW + 1e9) == [HOME]


def test_a_learned_worker_is_used(membership: Membership) -> None:
    membership.learn([worker(1)], HOME, NOW)
    assert membership.addresses(NOW) == [HOME, worker(1)]


def test_an_address_without_scheme_is_the_same_address(membership: Membership) -> None:
    membership.learn(["desk:5701", "desk-1:5701", worker(1)], HOME, NOW)
    assert membership.addresses(NOW) == [HOME, worker(1)]


def test_an_empty_list_removes_nobody(membership: Membership) -> None:
    membership.learn([worker(1)], HOME, NOW)
    membership.learn([], HOME, NOW + 1000)
    assert worker(1) in membership.addresses(NOW + 1000)


def test_a_learned_worker_silent_for_a_minute_is_dropped(membership: Membership) -> None:
    membership.learn([worker(1)], HOME, NOW)
    assert worker(1) in membership.addresses(NOW + LEARNED_WORKER_DROP_MS)
    assert worker(1) not in membership.addresses(NOW + LEARNED_WORKER_DROP_MS + 1)


def test_to_be_named_by_others_is_not_to_be_heard(membership: Membership) -> None:
    for second in range(62):
        membership.learn([worker(1)], HOME, NOW + 1000 * second)
    assert worker(1) not in membership.addresses(NOW + 61_000)


def test_a_worker_that_speaks_stays(membership: Membership) -> None:
    membership.learn([worker(1)], HOME, NOW)
    for second in range(0, 300, 30):
        membership.heard(worker(1), NOW + 1000 * second)
        assert worker(1) in membership.addresses(NOW + 1000 * second)


def test_a_camera_uses_at_most_eight_workers_the_configured_first() -> None:
    configured = workers(3)
    membership = Membership("door", configured)
    membership.learn([worker(n) for n in range(50)], HOME, NOW)
    addresses = membership.addresses(NOW)
    assert len(addresses) == len(set(addresses)) == MAX_WORKERS_PER_CAMERA
    assert addresses[:3] == configured


def test_a_repeated_address_is_used_once() -> None:
    assert Membership("door", [HOME, HOME]).addresses(NOW) == [HOME]


def test_a_change_of_one_worker_changes_one_choice(membership: Membership) -> None:
    membership.learn(workers(20), HOME, NOW)
    before = set(membership.addresses(NOW))
    membership.learn([worker(99)], HOME, NOW)
    assert len(before - set(membership.addresses(NOW))) <= 1


def test_cameras_spread_evenly_over_the_workers() -> None:
    uses: Counter[str] = Counter()
    for n in range(400):
        membership = Membership(f"camera-{n}", [HOME])
        membership.learn(workers(28), HOME, NOW)
        uses.update(membership.addresses(NOW)[1:])
    assert len(uses) == 28
    assert 50 < min(uses.values()) <= max(uses.values()) < 150


def test_only_so_many_addresses_are_remembered(membership: Membership) -> None:
    for n in range(0, 3 * MAX_ADDRESSES, 100):
        membership.learn([worker(n + k) for k in range(100)], HOME, NOW)
    assert len(membership._learned) == MAX_ADDRESSES


# Who has proved the key, and who is only named


def invented(count: int) -> list[str]:
    return [f"tcp://198.51.{n // 250}.{n % 250 + 1}:5701" for n in range(count)]


def used_until_tried(membership: Membership, honest: str, now_ms: float) -> float:
    for second in range(600):
        if honest in membership.addresses(now_ms + 1000 * second):
            return now_ms + 1000 * second
        membership.learn([*invented(MAX_ADDRESSES - 1), honest], HOME, now_ms + 1000 * second)
    raise AssertionError("the honest worker was never tried")


def test_invented_addresses_hide_no_worker_for_long(membership: Membership) -> None:
    now_ms = used_until_tried(membership, worker(1), NOW)
    membership.proved(worker(1))
    for second in range(300):
        at_ms = now_ms + 1000 * second
        membership.heard(worker(1), at_ms)
        membership.learn(invented(MAX_ADDRESSES), HOME, at_ms)
        assert worker(1) in membership.addresses(at_ms)


def test_who_has_proved_the_key_is_remembered_when_it_comes_back(membership: Membership) -> None:
    membership.learn([worker(1)], HOME, NOW)
    assert worker(1) in membership.addresses(NOW)
    membership.proved(worker(1))
    later_ms = NOW + LEARNED_WORKER_DROP_MS + 1
    assert worker(1) not in membership.addresses(later_ms)
    membership.learn(invented(MAX_ADDRESSES), HOME, later_ms)
    membership.addresses(later_ms)
    membership.learn([worker(1)], HOME, later_ms)
    assert worker(1) in membership.addresses(later_ms)
    assert len(membership._learned) == MAX_ADDRESSES


def test_among_many_that_have_proved_the_key_one_place_is_left_to_try_others(
    membership: Membership,
) -> None:
    membership.learn(workers(20), HOME, NOW)
    for worker in workers(20):
        membership.proved(worker)
    membership.learn(["tcp://192.0.2.9:5701"], HOME, NOW)
    addresses = membership.addresses(NOW)
    assert len(addresses) == MAX_WORKERS_PER_CAMERA
    assert "tcp://192.0.2.9:5701" in addresses


# Seeds


def meet(membership: Membership, addresses: list[str], now_ms: float) -> list[str]:
    """Learns of them, and serves with those that are used until nothing changes any more."""
    membership.learn(addresses, HOME, now_ms)
    used: list[str] = []
    while (now := membership.addresses(now_ms)) != used:
        used = now
        for address in used:
            membership.proved(address)
            membership.took_frames(address)
            membership.heard(address, now_ms)
    return used


def test_a_worker_that_all_name_is_not_the_worker_of_all() -> None:
    links = Counter[str]()
    for n in range(200):
        links.update(meet(Membership(f"camera-{n}", [HOME]), workers(40), NOW))
    assert links[HOME] < 80  # of 200, where an even share is 39
    assert max(links.values()) < 80
    assert sum(links.values()) == 200 * MAX_WORKERS_PER_CAMERA


def _away_from_home() -> tuple[Membership, list[str]]:
    for n in range(20):
        membership = Membership(f"camera-{n}", [HOME])
        used = meet(membership, workers(40), NOW)
        if HOME not in used:
            return membership, used
    raise AssertionError("every camera has kept its seed")


def test_a_seed_is_the_way_back_when_the_others_are_gone() -> None:
    membership, used = _away_from_home()
    membership.lost(used[0])
    assert HOME not in membership.addresses(NOW)
    for address in used[1:4]:
        membership.lost(address)
    assert membership.addresses(NOW)[0] == HOME
    for address in used[:4]:
        membership.took_frames(address)
    assert HOME not in membership.addresses(NOW)


def test_a_seed_is_kept_while_fewer_have_proved_the_key_or_they_take_no_frames() -> None:
    few = Membership("door", [HOME])
    assert meet(few, workers(7), NOW)[0] == HOME
    idle = Membership("door", [HOME])
    idle.learn(workers(40), HOME, NOW)
    for address in workers(40):
        idle.proved(address)
    assert idle.addresses(NOW)[0] == HOME


# Two addresses of one worker


def test_the_learned_one_of_two_addresses_is_given_up_and_not_learned_again(
    membership: Membership,
) -> None:
    membership.learn([worker(1)], HOME, NOW)
    assert membership.alias(worker(1), HOME)
    membership.learn([worker(1)], HOME, NOW)
    assert membership.addresses(NOW) == [HOME]


def test_a_configured_address_is_never_given_up(membership: Membership) -> None:
    membership.learn([worker(1)], HOME, NOW)
    assert not membership.alias(HOME, worker(1))
    assert HOME in membership.addresses(NOW)


def test_when_the_other_address_is_lost_the_alias_may_be_another_worker(
    membership: Membership,
) -> None:
    membership.alias(worker(1), HOME)
    membership.lost(HOME)
    membership.learn([worker(1)], HOME, NOW)
    assert worker(1) in membership.addresses(NOW)


def test_an_address_that_cannot_be_used_is_not_learned_again(membership: Membership) -> None:
    membership.learn([worker(1)], HOME, NOW)
    membership.reject(worker(1))
    membership.learn([worker(1)], HOME, NOW)
    assert membership.addresses(NOW) == [HOME]


# What a list may name


def test_loopback_learned_from_another_machine_names_nobody_here() -> None:
    local = ["tcp://127.0.0.1:1", "tcp://localhost:2", "tcp://[::1]:3"]
    spelt = ["127.1:1", "LOCALHOST:1", "0x7f.1:1", "[::ffff:127.0.0.1]:1", "localhost.:1"]
    assert usable([*local, *spelt], HOME) == set()
    assert usable(local, "tcp://127.0.0.1:5701") == set(local)


def test_a_wildcard_or_garbage_names_nobody() -> None:
    assert usable(["[fe80::1%eth0]:1"], HOME) == set()
    assert usable(["tcp://*:1", "tcp://0.0.0.0:1", "[::]:1", "", "x", "a b:1"], HOME) == set()
    assert usable(["0:1", "[::ffff:0.0.0.0]:1", "300.1.1.1:1", "[::::]:1"], HOME) == set()


def test_a_worker_of_endless_names_takes_little_room(membership: Membership) -> None:
    for n in range(3 * MAX_ADDRESSES):
        membership.learn([worker(n)], HOME, NOW)
        assert membership.alias(worker(n), HOME)
    membership.learn([worker(3 * MAX_ADDRESSES - 1)], HOME, NOW)
    assert membership.addresses(NOW) == [HOME]
    membership.learn([worker(0)], HOME, NOW)  # forgotten, and may be tried again
    assert membership.addresses(NOW) == [HOME, worker(0)]
