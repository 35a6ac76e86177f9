"""A worker's totals: every frame counted once, and the number in flight always adds up."""

import random
from collections import Counter

import pytest

from roommood.inference_worker.serving import sessions as links_module
from roommood.inference_worker.serving.sessions import SUPERSEDED, CameraSession, SessionTable
from roommood.shared.protocol.limits import CREDIT_VOID_MS, SESSION_SILENT_MS
from tests.shared.made import hello

NOW = 50_000.0


@pytest.fixture
def table() -> SessionTable:
    return SessionTable()


def meet(
    table: SessionTable, camera: str, routing: bytes = b"", now_ms: float = NOW
) -> CameraSession:
    return table.hello(routing or camera.encode(), hello(camera=camera), now_ms)


def checked(table: SessionTable) -> None:
    assert table.in_flight == sum(session.in_flight for session in table.all)
    for session in table.all:
        assert session.started <= session.received <= session.granted
        eligible = not (session.silent or session.refused or table.is_paused(session))
        assert (session.key in table.ready) == (eligible and session.in_flight == 0), session


# Credit


def test_a_camera_that_says_hello_is_hungry_and_has_no_credit(table: SessionTable) -> None:
    session = meet(table, "door")
    assert list(table.ready.values()) == [session]
    assert (session.in_flight, table.in_flight) == (0, 0)
    assert table.find(b"door") is session


def test_a_frame_goes_from_granted_to_received_to_settled(table: SessionTable) -> None:
    session = meet(table, "door")
    table.grant(session, NOW)
    assert (table.in_flight, session.waiting, len(table.ready)) == (1, 0, 0)
    assert table.receive(session, NOW + 8)
    assert (table.in_flight, session.waiting) == (1, 1)
    table.settle(session)
    assert (table.in_flight, session.waiting, len(table.ready)) == (0, 0, 1)


def test_a_frame_beyond_its_credit_is_told_as_such_and_counted(table: SessionTable) -> None:
    session = meet(table, "door")
    assert not table.receive(session, NOW)
    assert table.in_flight == 1
    table.settle(session)
    checked(table)
    assert (table.in_flight, session.granted, session.started) == (0, 1, 1)


def test_the_least_recently_served_camera_comes_first(table: SessionTable) -> None:
    served = []
    for name in "abc":
        meet(table, name)
    for _ in range(6):
        session = next(iter(table.ready.values()))
        served.append(session.hello.camera)
        table.grant(session, NOW)
        table.receive(session, NOW)
        table.settle(session)
    assert "".join(served) == "abcabc"


def test_the_time_to_fetch_falls_at_once_and_rises_slowly(table: SessionTable) -> None:
    session = meet(table, "door")
    fetches = []
    for took_ms in (2.0, 100.0, 100.0, 3.0):
        table.grant(session, NOW)
        table.receive(session, NOW + took_ms)
        table.settle(session)
        fetches.append(session.fetch_ms)
    assert fetches == [2.0, 4.0, 7.0, 3.0]


# Lost on the wire


def test_a_hello_tells_what_was_lost_and_the_count_goes_on_exactly(table: SessionTable) -> None:
    session = meet(table, "door")
    for _ in range(2):
        table.grant(session, NOW)
    table.receive(session, NOW)
    table.hello(b"door", hello(camera="door", sent=2), NOW)
    assert session.counts == {"lost-on-wire": 1}
    assert (session.received, session.in_flight, session.waiting) == (2, 1, 1)
    table.settle(session)
    table.hello(b"door", hello(camera="door", sent=2), NOW)
    assert session.counts == {"lost-on-wire": 1}
    checked(table)


def test_frames_lost_that_were_never_credited_add_up_too(table: SessionTable) -> None:
    session = meet(table, "door")
    table.hello(b"door", hello(camera="door", sent=7), NOW)
    assert session.counts == {"lost-on-wire": 7}
    assert (session.granted, session.in_flight) == (7, 0)
    checked(table)


def test_a_camera_met_in_the_middle_has_lost_nothing_here(table: SessionTable) -> None:
    session = table.hello(b"door", hello(sent=900), NOW)
    assert (session.counts, session.in_flight) == ({}, 0)
    table.grant(session, NOW)
    assert session.granted == 901


# Connections


def test_a_reconnect_voids_unspent_credit(table: SessionTable) -> None:
    session = meet(table, "door", b"one")
    table.grant(session, NOW)
    assert meet(table, "door", b"two") is session
    assert (table.in_flight, session.granted) == (0, 0)
    assert table.find(b"one") is None
    assert table.find(b"two") is session
    checked(table)


def test_a_frame_lost_in_a_reconnect_is_counted_once(table: SessionTable) -> None:
    session = meet(table, "door", b"one")
    table.grant(session, NOW)
    table.hello(b"two", hello(sent=1), NOW)
    assert session.counts == {"lost-on-wire": 1}
    assert (table.in_flight, session.granted, session.started) == (0, 1, 1)
    checked(table)


def test_what_waits_survives_a_reconnect(table: SessionTable) -> None:
    session = meet(table, "door", b"one")
    table.grant(session, NOW)
    table.receive(session, NOW)
    table.hello(b"two", hello(sent=1), NOW)
    assert (table.in_flight, session.waiting, session.counts) == (1, 1, {})
    checked(table)


def test_a_camera_that_vanishes_gives_its_credit_back_after_three_seconds(
    table: SessionTable,
) -> None:
    session = meet(table, "door")
    table.grant(session, NOW)
    assert table.sweep(NOW + CREDIT_VOID_MS) == []
    assert table.in_flight == 1
    assert table.sweep(NOW + CREDIT_VOID_MS + 1) == [session]
    assert table.in_flight == 0
    assert table.sweep(NOW + CREDIT_VOID_MS + 2) == []
    checked(table)


def test_time_in_which_nobody_listened_is_not_a_cameras_silence(table: SessionTable) -> None:
    session = meet(table, "door")
    table.excuse(9_000.0)
    assert table.sweep(NOW + CREDIT_VOID_MS + 9_000) == []
    assert table.sweep(NOW + CREDIT_VOID_MS + 9_001) == [session]


def test_a_camera_whose_link_was_dropped_keeps_its_clock(table: SessionTable) -> None:
    clock = meet(table, "door").clock
    meet(table, "window", routing=b"door")
    assert meet(table, "door").clock is clock
    assert meet(table, "hall").clock is not clock


def test_a_silent_camera_is_hungry_again_when_it_speaks(table: SessionTable) -> None:
    session = meet(table, "door")
    table.sweep(NOW + CREDIT_VOID_MS + 1)
    assert not table.ready
    meet(table, "door", now_ms=NOW + 9_000)
    assert list(table.ready.values()) == [session]


def test_an_unreachable_camera_gives_its_credit_back_at_once(table: SessionTable) -> None:
    session = meet(table, "door")
    table.grant(session, NOW)
    table.unreachable(session)
    assert (table.in_flight, session.silent) == (0, True)
    checked(table)


# Boots


def session(table: SessionTable, session_id: str, now_ms: float) -> CameraSession:
    return table.hello(session_id.encode(), hello(session_id=session_id), now_ms)


def test_of_two_live_boots_the_newest_wins_and_the_other_is_told(table: SessionTable) -> None:
    old = session(table, "old", NOW)
    new = session(table, "new", NOW + 100)
    for second in range(30):
        assert session(table, "old", NOW + 1000 * second).refused == SUPERSEDED
        assert session(table, "new", NOW + 1000 * second).refused == ""
    assert list(table.ready.values()) == [new]
    assert old.in_flight == 0
    checked(table)


def test_a_superseded_boot_gives_its_credit_back(table: SessionTable) -> None:
    old = session(table, "old", NOW)
    table.grant(old, NOW)
    session(table, "new", NOW)
    session(table, "old", NOW + 1000)
    assert (old.in_flight, table.in_flight) == (0, 0)
    checked(table)


def test_the_other_boot_comes_back_when_the_winner_has_been_silent(table: SessionTable) -> None:
    session(table, "old", NOW)
    session(table, "new", NOW)
    assert session(table, "old", NOW + SESSION_SILENT_MS - 1).refused == SUPERSEDED
    assert session(table, "old", NOW + SESSION_SILENT_MS).refused == ""
    assert session(table, "new", NOW + SESSION_SILENT_MS + 1).refused == SUPERSEDED


def test_a_reboot_is_served_at_once(table: SessionTable) -> None:
    for n in range(200):
        assert session(table, f"b{n}", NOW + n).refused == ""


def test_two_sockets_of_one_boot_are_two_links(table: SessionTable) -> None:
    one = table.hello(b"one", hello(link=1), NOW)
    two = table.hello(b"two", hello(link=2), NOW)
    assert one is not two
    assert one.refused == two.refused == ""


# Pauses


def test_a_paused_room_is_not_served_and_gives_its_credit_back(table: SessionTable) -> None:
    session, other = meet(table, "door"), table.hello(b"x", hello(camera="x", room="hall"), NOW)
    table.grant(session, NOW)
    assert table.set_paused(frozenset({"kitchen"})) == [session]
    assert table.is_paused(session)
    assert table.in_flight == 0
    assert list(table.ready.values()) == [other]
    assert table.set_paused(frozenset({"kitchen"})) == []
    assert table.set_paused(frozenset()) == [session]
    assert set(table.ready.values()) == {session, other}
    checked(table)


def test_a_frame_already_under_way_when_its_room_is_paused_adds_up(table: SessionTable) -> None:
    session = meet(table, "door")
    table.grant(session, NOW)
    table.set_paused(frozenset({"kitchen"}))
    table.receive(session, NOW)
    checked(table)
    table.settle(session)
    assert table.in_flight == 0
    checked(table)


# Memory


def test_only_so_many_links_are_remembered_the_longest_silent_goes(
    table: SessionTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links_module, "MAX_SESSIONS", 3)
    first = meet(table, "c0")
    table.grant(first, NOW)
    for n in range(1, 4):
        meet(table, f"c{n}")
    assert [session.hello.camera for session in table.all] == ["c1", "c2", "c3"]
    assert table.find(b"c0") is None
    assert table.in_flight == 0
    table.receive(first, NOW)
    table.settle(first)
    checked(table)


# Anything


class Site:
    """Cameras that do anything at all, and what became of each frame they sent."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.table = SessionTable()
        self.now_ms = NOW
        self.sent: Counter[str] = Counter()
        self.connection: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.waiting: list[CameraSession] = []

    def routing(self, camera: str) -> bytes:
        return f"{camera}-{self.connection[camera]}".encode()

    def hello(self, camera: str) -> None:
        message = hello(camera=camera, room=f"room-{camera}", sent=self.sent[camera])
        self.table.hello(self.routing(camera), message, self.now_ms)

    def reconnect(self, camera: str) -> None:
        self.connection[camera] += 1
        self.hello(camera)

    def frame(self, camera: str) -> None:
        session = self.table.find(self.routing(camera))
        if session is None or self.sent[camera] != session.received:
            return  # ZeroMQ keeps the order: after a loss a Hello comes first
        self.sent[camera] += 1
        if self.rng.random() < 0.2:
            return  # lost
        if self.table.receive(session, self.now_ms):
            self.waiting.append(session)
        else:
            self.table.settle(session)
            self.ended[camera] += 1

    def serve(self, _camera: str) -> None:
        if self.table.ready:
            self.table.grant(next(iter(self.table.ready.values())), self.now_ms)

    def start(self, _camera: str) -> None:
        if self.waiting:
            session = self.waiting.pop(0)
            self.table.settle(session)
            self.ended[session.hello.camera] += 1

    def sweep(self, _camera: str) -> None:
        self.now_ms += self.rng.choice((1.0, 100.0, 4_000.0))
        self.table.sweep(self.now_ms)

    def pause(self, camera: str) -> None:
        rooms = frozenset({f"room-{camera}"}) if self.rng.random() < 0.5 else frozenset()
        self.table.set_paused(rooms)

    def unreachable(self, camera: str) -> None:
        session = self.table.find(self.routing(camera))
        if session is not None and self.rng.random() < 0.3:
            self.table.unreachable(session)

    def act(self) -> None:
        doing = (self.hello, self.frame, self.frame, self.serve, self.serve, self.start)
        rare = (self.reconnect, self.sweep, self.pause, self.unreachable)
        self.rng.choice((*doing, *doing, *rare))(self.rng.choice("abcd"))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_the_books_add_up(seed: int) -> None:
    site = Site(seed)
    for _ in range(400):
        site.act()
        checked(site.table)
        assert site.table.in_flight >= 0
    for camera in "abcd":
        site.reconnect(camera)
    while site.waiting:
        site.start("")
    for session in site.table.all:
        camera = session.hello.camera
        assert session.received == session.started == site.sent[camera]
        assert site.ended[camera] + session.counts["lost-on-wire"] == site.sent[camera]


# One connection is one camera's


def test_a_connection_holds_one_link_however_many_names_it_says(table: SessionTable) -> None:
    other = meet(table, "other")
    for number in range(1000):
        session = meet(table, f"name-{number}", routing=b"liar")
        table.grant(session, NOW)
    checked(table)
    assert len(table.all) == 2
    assert table.find(b"liar") is session
    assert table.find(b"other") is other


def test_a_frame_of_a_link_that_was_forgotten_is_counted_all_the_same(table: SessionTable) -> None:
    session = meet(table, "door", routing=b"one")
    table.grant(session, NOW)
    table.receive(session, NOW)
    meet(table, "hall", routing=b"one")
    table.count(session, "analysed")
    table.settle(session)
    checked(table)
    assert table.totals() == {"analysed": 1}


@pytest.mark.parametrize("claimed", [0, 3, 5, 9])
def test_frames_refused_before_a_hello_are_not_lost_as_well(
    table: SessionTable, claimed: int
) -> None:
    session = meet(table, "door", routing=b"first")
    table.hello(b"second", hello(camera="door", sent=claimed), NOW, {"unsolicited": 5})
    checked(table)
    assert session.counts["refused-unsolicited"] == 5
    assert session.counts["lost-on-wire"] == max(0, claimed - 5)
    assert session.received == claimed
