"""A worker's totals: every frame counted once, and the number in flight always adds up."""

import random
from collections import Counter

import pytest

from roommood.inference_worker.serving import sessions as sessions_module
from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.ledger import Ledger, Outcome
from roommood.inference_worker.serving.sessions import SessionTable
from roommood.shared.protocol.limits import CREDIT_VOID_MS, SESSION_SILENT_MS
from tests.shared.made import hello

NOW = 50_000.0


@pytest.fixture
def table() -> SessionTable:
    return SessionTable(Ledger())


def meet(
    table: SessionTable, camera: str, routing: bytes = b"", now_ms: float = NOW
) -> CameraSession:
    return table.hello(routing or camera.encode(), hello(camera=camera), now_ms)


def begin(table: SessionTable, session: CameraSession) -> None:
    table.begin(session, object(), NOW)


def checked(table: SessionTable) -> None:
    assert table.ledger.asked == sum(s.account.granted - s.account.received for s in table.all)
    assert table.ledger.in_flight == sum(session.account.in_flight for session in table.all)
    for session in table.all:
        assert session.account.settled <= session.account.received <= session.account.granted
        eligible = not (session.silent or session.refused or table.is_paused(session))
        assert (session in table.ready) == (eligible and session.account.in_flight == 0), session


# Credit


def test_a_camera_that_says_hello_is_ready_and_has_no_credit(table: SessionTable) -> None:
    session = meet(table, "door")
    assert list(table.ready) == [session]
    assert (session.account.in_flight, table.ledger.in_flight) == (0, 0)
    assert table.find(b"door") is session


def test_a_frame_goes_from_granted_to_received_to_settled(table: SessionTable) -> None:
    session = meet(table, "door")
    table.grant(session, NOW)
    assert (table.ledger.in_flight, session.account.waiting, len(table.ready)) == (1, 0, 0)
    assert table.receive(session, NOW + 8)
    assert (table.ledger.in_flight, session.account.waiting) == (1, 1)
    begin(table, session)
    assert (table.ledger.in_flight, session.account.waiting, len(table.ready)) == (0, 0, 1)


def test_a_frame_beyond_its_credit_is_told_as_such_and_counted(table: SessionTable) -> None:
    session = meet(table, "door")
    assert not table.receive(session, NOW)
    assert table.ledger.in_flight == 1
    begin(table, session)
    checked(table)
    assert (table.ledger.in_flight, session.account.granted, session.account.settled) == (0, 1, 1)


def test_the_least_recently_served_camera_comes_first(table: SessionTable) -> None:
    served = []
    for name in "abc":
        meet(table, name)
    for _ in range(6):
        (session, *_) = table.ready
        served.append(session.hello.camera)
        table.grant(session, NOW)
        table.receive(session, NOW)
        begin(table, session)
    assert "".join(served) == "abcabc"


def test_the_time_to_fetch_falls_at_once_and_rises_slowly(table: SessionTable) -> None:
    session = meet(table, "door")
    fetches = []
    for took_ms in (2.0, 100.0, 100.0, 3.0):
        table.grant(session, NOW)
        table.receive(session, NOW + took_ms)
        begin(table, session)
        fetches.append(session.fetch_ms)
    assert fetches == [2.0, 4.0, 7.0, 3.0]


# Lost on the wire


def test_a_hello_tells_what_was_lost_and_the_count_goes_on_exactly(table: SessionTable) -> None:
    session = meet(table, "door")
    for _ in range(2):
        table.grant(session, NOW)
    table.receive(session, NOW)
    table.hello(b"door", hello(camera="door", sent=2), NOW)
    assert session.account.ended == {"lost-on-wire": 1}
    assert (session.account.received, session.account.in_flight, session.account.waiting) == (
        2,
        1,
        1,
    )
    begin(table, session)
    table.hello(b"door", hello(camera="door", sent=2), NOW)
    assert session.account.ended == {"lost-on-wire": 1}
    checked(table)


def test_frames_lost_that_were_never_credited_add_up_too(table: SessionTable) -> None:
    session = meet(table, "door")
    table.hello(b"door", hello(camera="door", sent=7), NOW)
    assert session.account.ended == {"lost-on-wire": 7}
    assert (session.account.granted, session.account.in_flight) == (7, 0)
    checked(table)


def test_a_camera_met_in_the_middle_has_lost_nothing_here(table: SessionTable) -> None:
    session = table.hello(b"door", hello(sent=900), NOW)
    assert (session.account.ended, session.account.in_flight) == ({}, 0)
    table.grant(session, NOW)
    assert session.account.granted == 901


# Connections


def test_a_reconnect_voids_unspent_credit(table: SessionTable) -> None:
    session = meet(table, "door", b"one")
    table.grant(session, NOW)
    assert meet(table, "door", b"two") is session
    assert (table.ledger.in_flight, session.account.granted) == (0, 0)
    assert table.find(b"one") is None
    assert table.find(b"two") is session
    checked(table)


def test_a_frame_lost_in_a_reconnect_is_counted_once(table: SessionTable) -> None:
    session = meet(table, "door", b"one")
    table.grant(session, NOW)
    table.hello(b"two", hello(sent=1), NOW)
    assert session.account.ended == {"lost-on-wire": 1}
    assert (table.ledger.in_flight, session.account.granted, session.account.settled) == (0, 1, 1)
    checked(table)


def test_what_waits_survives_a_reconnect(table: SessionTable) -> None:
    session = meet(table, "door", b"one")
    table.grant(session, NOW)
    table.receive(session, NOW)
    table.hello(b"two", hello(sent=1), NOW)
    assert (table.ledger.in_flight, session.account.waiting, session.account.ended) == (1, 1, {})
    checked(table)


def test_a_camera_that_vanishes_gives_its_credit_back_after_three_seconds(
    table: SessionTable,
) -> None:
    session = meet(table, "door")
    table.grant(session, NOW)
    assert table.sweep(NOW + CREDIT_VOID_MS) == []
    assert table.ledger.in_flight == 1
    assert table.sweep(NOW + CREDIT_VOID_MS + 1) == [session]
    assert table.ledger.in_flight == 0
    assert table.sweep(NOW + CREDIT_VOID_MS + 2) == []
    checked(table)


def test_time_in_which_nobody_listened_is_not_a_cameras_silence(table: SessionTable) -> None:
    session = meet(table, "door")
    table.excuse(9_000.0)
    assert table.sweep(NOW + CREDIT_VOID_MS + 9_000) == []
    assert table.sweep(NOW + CREDIT_VOID_MS + 9_001) == [session]


def test_a_camera_whose_connection_was_dropped_keeps_its_clock(table: SessionTable) -> None:
    clock = meet(table, "door").clock
    meet(table, "window", routing=b"door")
    assert meet(table, "door").clock is clock
    assert meet(table, "hall").clock is not clock


def test_a_silent_camera_is_ready_again_when_it_speaks(table: SessionTable) -> None:
    session = meet(table, "door")
    table.sweep(NOW + CREDIT_VOID_MS + 1)
    assert not table.ready
    meet(table, "door", now_ms=NOW + 9_000)
    assert list(table.ready) == [session]


def test_an_unreachable_camera_gives_its_credit_back_at_once(table: SessionTable) -> None:
    session = meet(table, "door")
    table.grant(session, NOW)
    table.unreachable(session)
    assert (table.ledger.in_flight, session.silent) == (0, True)
    checked(table)


# Boots


def session(table: SessionTable, session_id: str, now_ms: float) -> CameraSession:
    return table.hello(session_id.encode(), hello(session_id=session_id), now_ms)


def test_of_two_live_sessions_the_newest_wins_and_the_other_is_told(table: SessionTable) -> None:
    old = session(table, "old", NOW)
    new = session(table, "new", NOW + 100)
    for second in range(30):
        assert session(table, "old", NOW + 1000 * second).refused == Outcome.SUPERSEDED.reason
        assert session(table, "new", NOW + 1000 * second).refused == ""
    assert list(table.ready) == [new]
    assert old.account.in_flight == 0
    checked(table)


def test_a_superseded_session_gives_its_credit_back(table: SessionTable) -> None:
    old = session(table, "old", NOW)
    table.grant(old, NOW)
    session(table, "new", NOW)
    session(table, "old", NOW + 1000)
    assert (old.account.in_flight, table.ledger.in_flight) == (0, 0)
    checked(table)


def test_the_other_session_comes_back_when_the_winner_has_been_silent(table: SessionTable) -> None:
    session(table, "old", NOW)
    session(table, "new", NOW)
    assert session(table, "old", NOW + SESSION_SILENT_MS - 1).refused == Outcome.SUPERSEDED.reason
    assert session(table, "old", NOW + SESSION_SILENT_MS).refused == ""
    assert session(table, "new", NOW + SESSION_SILENT_MS + 1).refused == Outcome.SUPERSEDED.reason


def test_a_reboot_is_served_at_once(table: SessionTable) -> None:
    for n in range(200):
        assert session(table, f"b{n}", NOW + n).refused == ""


def test_two_sockets_of_one_session_are_two_sessions(table: SessionTable) -> None:
    first = table.hello(b"one", hello(link=1), NOW)
    second = table.hello(b"two", hello(link=2), NOW)
    assert first is not second
    assert first.refused == second.refused == ""


# Pauses


def test_a_paused_room_is_not_served_and_gives_its_credit_back(table: SessionTable) -> None:
    session, other = meet(table, "door"), table.hello(b"x", hello(camera="x", room="hall"), NOW)
    table.grant(session, NOW)
    assert table.set_paused(frozenset({"kitchen"})) == [session]
    assert table.is_paused(session)
    assert table.ledger.in_flight == 0
    assert list(table.ready) == [other]
    assert table.set_paused(frozenset({"kitchen"})) == []
    assert table.set_paused(frozenset()) == [session]
    assert set(table.ready) == {session, other}
    checked(table)


def test_a_frame_already_under_way_when_its_room_is_paused_adds_up(table: SessionTable) -> None:
    session = meet(table, "door")
    table.grant(session, NOW)
    table.set_paused(frozenset({"kitchen"}))
    table.receive(session, NOW)
    checked(table)
    begin(table, session)
    assert table.ledger.in_flight == 0
    checked(table)


# Memory


def test_only_so_many_sessions_are_remembered_the_longest_silent_goes(
    table: SessionTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "MAX_SESSIONS", 3)
    first = meet(table, "c0")
    table.grant(first, NOW)
    for n in range(1, 4):
        meet(table, f"c{n}")
    assert [session.hello.camera for session in table.all] == ["c1", "c2", "c3"]
    assert table.find(b"c0") is None
    assert table.ledger.in_flight == 0
    table.receive(first, NOW)
    begin(table, first)
    checked(table)


# Anything


class AnyCameras:
    """Cameras that do anything at all, and what became of each frame they sent."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.table = SessionTable(Ledger())
        self.now_ms = NOW
        self.sent: Counter[str] = Counter()
        self.connection: Counter[str] = Counter()
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
        if session is None or self.sent[camera] != session.account.received:
            return  # ZeroMQ keeps the order: after a loss a Hello comes first
        self.sent[camera] += 1
        if self.rng.random() < 0.2:
            return  # lost
        if self.table.receive(session, self.now_ms):
            self.waiting.append(session)
        else:
            self.table.refuse(session, Outcome.UNSOLICITED)

    def serve(self, _camera: str) -> None:
        if self.table.ready:
            self.table.grant(next(iter(self.table.ready)), self.now_ms)

    def start(self, _camera: str) -> None:
        if self.waiting:
            session, job = self.waiting.pop(0), object()
            self.table.begin(session, job, self.now_ms)
            self.table.ledger.finish(session.account, job, Outcome.ANALYSED)

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
def test_whatever_happens_the_ledger_adds_up(seed: int) -> None:
    site = AnyCameras(seed)
    for _ in range(400):
        site.act()
        checked(site.table)
        assert site.table.ledger.in_flight >= 0
    for camera in "abcd":
        site.reconnect(camera)
    while site.waiting:
        site.start("")
    for session in site.table.all:
        camera = session.hello.camera
        assert session.account.received == session.account.settled == site.sent[camera]
        assert session.account.ended.total() == site.sent[camera]
    assert site.table.ledger.ended.total() == site.sent.total()
    assert (site.table.ledger.in_flight, site.table.ledger.running) == (0, {})


# One connection is one camera's


def test_a_connection_holds_one_session_however_many_names_it_says(table: SessionTable) -> None:
    other = meet(table, "other")
    for number in range(1000):
        session = meet(table, f"name-{number}", routing=b"liar")
        table.grant(session, NOW)
    checked(table)
    assert len(table.all) == 2
    assert table.find(b"liar") is session
    assert table.find(b"other") is other


def test_a_frame_of_a_session_that_was_forgotten_is_counted_all_the_same(
    table: SessionTable,
) -> None:
    session, job = meet(table, "door", routing=b"one"), object()
    table.grant(session, NOW)
    table.receive(session, NOW)
    meet(table, "hall", routing=b"one")
    assert (table.ledger.asked, table.ledger.waiting) == (0, 1)
    table.begin(session, job, NOW)
    table.ledger.finish(session.account, job, Outcome.ANALYSED)
    checked(table)
    assert table.ledger.ended == {"analysed": 1}


@pytest.mark.parametrize("claimed", [0, 3, 5, 9])
def test_frames_refused_before_a_hello_are_not_lost_as_well(
    table: SessionTable, claimed: int
) -> None:
    session = meet(table, "door", routing=b"first")
    table.hello(b"second", hello(camera="door", sent=claimed), NOW, {Outcome.UNSOLICITED: 5})
    checked(table)
    assert session.account.ended[Outcome.UNSOLICITED] == 5
    assert session.account.ended[Outcome.LOST_ON_WIRE] == max(0, claimed - 5)
    assert session.account.received == claimed
