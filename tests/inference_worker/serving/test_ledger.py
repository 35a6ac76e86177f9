"""What becomes of frames: each reason why one is refused has an outcome, and each ends once."""

from collections import Counter
from collections.abc import Iterator

import pytest

from roommood.inference_worker.serving.ledger import Account, Ledger, Outcome
from roommood.shared import errors
from roommood.shared.security.allow_list import KEY_MISMATCH, REVOKED


def reasons(base: type[Exception]) -> Iterator[str]:
    yield base.reason  # type: ignore[attr-defined]
    for error in base.__subclasses__():
        if error is not errors.NotYours:
            yield error.reason  # type: ignore[attr-defined]


def test_whatever_a_frame_is_refused_for_has_an_outcome() -> None:
    for reason in (*reasons(errors.WireError), *reasons(errors.PictureError)):
        assert Outcome.refusal(reason).reason == reason
    for reason in (REVOKED, KEY_MISMATCH):
        assert Outcome.refusal(reason).is_refusal


def test_a_reason_that_nobody_knows_is_an_error_and_no_new_count() -> None:
    with pytest.raises(ValueError, match="refused-whatever"):
        Outcome.refusal("whatever")


def test_a_frame_stands_at_one_stage_at_a_time() -> None:
    ledger, account, job = Ledger(), Account(0, 0, 0), object()
    stages = []

    def note() -> None:
        stages.append((ledger.asked, ledger.waiting, len(ledger.running), ledger.ended.total()))

    ledger.grant(account)
    note()
    assert ledger.receive(account)
    note()
    ledger.begin(account, job, 7.0)
    note()
    assert ledger.finish(account, job, Outcome.ANALYSED) == 7.0
    note()
    assert stages == [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]


def test_a_failed_analysis_counts_as_a_refusal_and_settles_nothing_twice() -> None:
    ledger, account = Ledger(), Account(0, 0, 0)
    ledger.receive(account)
    ledger.begin(account, "job", 0.0)
    ledger.finish(account, "job", Outcome.DAMAGED)
    assert (account.in_flight, ledger.in_flight, ledger.running) == (0, 0, {})
    assert ledger.refused == account.ended == {Outcome.DAMAGED: 1}
    assert (account.refused_frames, account.refused_why) == (1, "damaged")


def test_a_pause_is_no_refusal_that_a_camera_has_to_be_told_of() -> None:
    ledger, account = Ledger(), Account(0, 0, 0)
    ledger.receive(account)
    ledger.refuse(account, Outcome.PAUSED)
    assert (account.refused_frames, account.refused_why) == (0, "")
    assert ledger.ended[Outcome.PAUSED] == 1


def test_a_message_that_is_no_frame_is_refused_and_ends_no_frame() -> None:
    ledger = Ledger()
    ledger.refuse_message(Outcome.MALFORMED)
    assert ledger.refused == Counter({Outcome.MALFORMED: 1})
    assert ledger.ended.total() == 0


def test_a_frame_that_its_camera_may_hold_is_not_counted_on() -> None:
    ledger, account, job = Ledger(), Account(0, 0, 0), object()
    ledger.grant(account, may_hold=True)
    assert (ledger.asked, account.in_flight) == (0, 1)
    assert ledger.receive(account)
    assert (ledger.asked, ledger.waiting) == (0, 1)
    ledger.begin(account, job, 0.0)
    ledger.grant(account)
    assert (ledger.asked, ledger.waiting) == (1, 0)


@pytest.mark.parametrize("end", ["void", "lost", "unasked"])
def test_however_a_credit_that_may_be_held_ends_none_is_counted_on(end: str) -> None:
    ledger, account = Ledger(), Account(0, 0, 0)
    ledger.grant(account, may_hold=True)
    if end == "void":
        ledger.void(account)
    elif end == "lost":
        assert ledger.reconcile(account, 1) == 1
    else:
        assert ledger.receive(account)
        assert not ledger.receive(account)
    assert (ledger.asked, account.may_hold) == (0, False)
    ledger.grant(account)
    assert ledger.asked == 1


def test_pictures_that_were_held_end_no_frame() -> None:
    ledger, account = Ledger(), Account(0, 0, 0)
    ledger.held(account)
    assert account.ended == Counter({Outcome.HELD: 1})
    assert (account.received, account.settled, ledger.refused.total()) == (0, 0, 0)
