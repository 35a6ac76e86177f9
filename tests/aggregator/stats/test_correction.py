"""Shares corrected by a model's confusion matrix: on made rooms, and read through a real Redis."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from itertools import accumulate, pairwise

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.correction import Estimate, Evidence, Matrix, corrected, matrices
from roommood.aggregator.stats.export import csv_lines
from roommood.aggregator.stats.figures import Share, room_period
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.terminal.tables import summary_table
from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from roommood.shared.protocol.messages import ModelReport
from tests.aggregator.made import HOUR_MS, delivery, face, result

COUNT = len(EXPRESSIONS)
PLENTY = 1e6
MINUTE = timedelta(minutes=1)
NOW_MS = HOUR_MS + 600_000
NEUTRAL_ROOM = (0.85, 0.06, 0.02, 0.04, 0.02, 0.0, 0.01, 0.0)
SAD_ROOM = (0.40, 0.05, 0.03, 0.40, 0.08, 0.01, 0.03, 0.0)
UNIFORM = (1 / COUNT,) * COUNT
ROOMS = [NEUTRAL_ROOM, SAD_ROOM, UNIFORM]


def _blurred(right: float, mostly: int = 0) -> list[list[float]]:
    """Each expression is shown as itself by this much, else mostly as the one given."""
    rest = (1 - right) / 2
    return [
        [
            right * (i == j) + rest * (j == mostly) + rest * (1 / COUNT)
            for j in range(COUNT)
        ]
        for i in range(COUNT)
    ]  # fmt: skip


IDENTITY = [[float(i == j) for j in range(COUNT)] for i in range(COUNT)]
CLEAR = _blurred(0.8)
WEAK = _blurred(0.45)
BLIND = [[0.5, 0.2, 0.1, 0.1, 0.05, 0.02, 0.02, 0.01]] * COUNT


def _as_shown(mix: Sequence[float], matrix: Matrix, us: float = 1e9) -> list[float]:
    return [
        us * sum(x * row[j] for x, row in zip(mix, matrix, strict=True)) for j in range(COUNT)
    ]  # fmt: skip


def _drawn(mix: Sequence[float], matrix: Matrix, count: int, rng: random.Random) -> list[float]:
    """Winning labels of so many faces, each drawn by itself."""
    truth = rng.choices(range(COUNT), mix, k=count)
    labels = Counter(rng.choices(range(COUNT), matrix[label])[0] for label in truth)
    return [float(labels[j]) for j in range(COUNT)]


# What follows from a matrix that holds for the very faces of the room.
by_its_word = partial(corrected, doubt=0.0)


def _shares(estimates: Sequence[Estimate]) -> list[float]:
    return [estimate.share for estimate in estimates]


def _error(shares: Sequence[float], mix: Sequence[float]) -> float:
    return sum(abs(a - b) for a, b in zip(shares, mix, strict=True)) / 2


# Of happy faces nearly all are sure, of sad ones a third.
SURE = (0.8, 0.95, 0.8, 0.35, 0.6, 0.5, 0.5, 0.4)


@pytest.mark.parametrize("mix", ROOMS)
def test_expressions_that_are_seldom_sure_keep_their_share(mix: Sequence[float]) -> None:
    partly = [[sure * p for p in row] for sure, row in zip(SURE, CLEAR, strict=True)]
    shown = _as_shown(mix, partly)
    shares = by_its_word([Evidence(shown, PLENTY, partly)])
    assert _error(_shares(shares), mix) < 0.01
    blind = by_its_word([Evidence(shown, PLENTY, CLEAR)])  # a matrix of the sure faces alone
    assert _error(_shares(blind), mix) > 0.02


@pytest.mark.parametrize("mix", ROOMS)
@pytest.mark.parametrize("matrix", [IDENTITY, CLEAR, WEAK])
def test_without_noise_the_true_mix_comes_back(mix: Sequence[float], matrix: Matrix) -> None:
    shown = _as_shown(mix, matrix)
    shares = by_its_word([Evidence(shown, PLENTY, matrix)])
    assert _error(_shares(shares), mix) < 0.015


@pytest.mark.parametrize("mix", ROOMS)
@pytest.mark.parametrize("matrix", [CLEAR, WEAK])
def test_doubt_keeps_the_shares_between_the_labels_counted_and_what_the_matrix_says(
    mix: Sequence[float], matrix: Matrix
) -> None:
    shown = _as_shown(mix, matrix, us=1.0)
    shares = [_shares(corrected([Evidence(shown, PLENTY, matrix)], doubt)) for doubt in (0, 0.3, 1)]
    away = [_error(each, mix) for each in shares]
    assert away[0] < away[1] < away[2] < _error(shown, mix)


def test_a_room_of_clearer_faces_than_the_matrix_knows_is_not_corrected_past_the_truth() -> None:
    shown = _as_shown(UNIFORM, _blurred(0.9))
    evidence = [Evidence(shown, PLENTY, _blurred(0.6))]
    believed = _error(_shares(by_its_word(evidence)), UNIFORM)
    doubted = corrected(evidence)
    assert _error(_shares(doubted), UNIFORM) < 0.75 * believed
    assert all(share.low <= 1 / COUNT <= share.high for share in doubted)


@pytest.mark.parametrize("mix", ROOMS)
@pytest.mark.parametrize("matrix", [CLEAR, WEAK])
def test_with_noise_it_is_nearer_to_the_truth_than_the_raw_shares(
    mix: Sequence[float], matrix: Matrix
) -> None:
    rng, raw_errors, errors = random.Random(3), 0.0, 0.0
    for _ in range(10):
        labels = _drawn(mix, matrix, 500, rng)
        raw_errors += _error([label / 500 for label in labels], mix)
        errors += _error(_shares(by_its_word([Evidence(labels, 500, matrix)])), mix)
    assert errors < raw_errors * 0.75


@pytest.mark.parametrize("observations", [0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("seed", range(20))
def test_shares_are_never_negative_and_add_up_to_1_whatever_the_matrix(
    seed: int, observations: float
) -> None:
    rng = random.Random(seed)
    weights = [[rng.random() ** 8 for _ in range(COUNT)] for _ in range(COUNT)]
    matrix = [[value / sum(row) for value in row] for row in weights]
    us = [rng.random() ** 6 * rng.choice((0, 1)) + 1e-6 for _ in range(COUNT)]
    shares = corrected([Evidence(us, observations, matrix)])
    assert sum(_shares(shares)) == pytest.approx(1)
    assert all(0 <= share.low <= share.share <= share.high <= 1 for share in shares)


def test_without_face_time_there_are_no_shares() -> None:
    assert corrected([]) == []
    assert corrected([Evidence([0] * COUNT, 0.0, CLEAR)]) == []


def test_a_matrix_that_tells_nothing_apart_leaves_the_raw_shares_and_a_wide_interval() -> None:
    shown = _as_shown(SAD_ROOM, CLEAR, us=1.0)
    for observations in (10.0, 1000.0):
        shares = corrected([Evidence(shown, observations, BLIND)])
        assert _error(_shares(shares), shown) < 0.05
        assert shares[0].high - shares[0].low > 0.5


def test_two_expressions_that_look_alike_share_what_was_seen_of_them() -> None:
    twins = [list(row) for row in CLEAR]
    twins[7] = list(twins[0])
    shares = by_its_word([Evidence(_as_shown(SAD_ROOM, twins), PLENTY, twins)])
    assert shares[0].share + shares[7].share == pytest.approx(0.4, abs=0.01)
    assert shares[7].high > 0.3
    assert shares[3].share == pytest.approx(0.4, abs=0.01)


def test_an_expression_that_the_matrix_was_never_measured_on_is_taken_at_its_word() -> None:
    unmeasured = [list(row) for row in IDENTITY]
    unmeasured[7] = [0.0] * COUNT
    shares = corrected([Evidence(UNIFORM, PLENTY, unmeasured)])
    assert shares[7].share == pytest.approx(1 / COUNT, abs=0.01)


def test_each_size_of_face_is_corrected_by_its_own_matrix_and_weighs_its_face_time() -> None:
    large = Evidence(_as_shown(NEUTRAL_ROOM, CLEAR, 3e9), PLENTY, CLEAR)
    tiny = Evidence(_as_shown(SAD_ROOM, WEAK, 1e9), PLENTY, WEAK)
    mix = [0.75 * a + 0.25 * b for a, b in zip(NEUTRAL_ROOM, SAD_ROOM, strict=True)]
    assert _error(_shares(by_its_word([large, tiny])), mix) < 0.01


def test_a_worse_matrix_and_less_face_time_widen_the_interval() -> None:
    widths = []
    for matrix, observations in [(IDENTITY, 1000), (CLEAR, 1000), (WEAK, 1000), (WEAK, 100)]:
        shown = _as_shown(SAD_ROOM, matrix)
        sad = corrected([Evidence(shown, observations, matrix)])[3]
        widths.append(sad.high - sad.low)
    assert all(a < b for a, b in pairwise(widths))


def test_where_the_matrix_is_doubted_the_interval_reaches_back_as_far_as_the_share_was_moved() -> (
    None
):
    shown = _as_shown(NEUTRAL_ROOM, WEAK, us=1.0)
    neutral = corrected([Evidence(shown, PLENTY, WEAK)])[0]
    moved = neutral.share - shown[0]
    assert moved > 0.04
    assert neutral.low < neutral.share - 1.9 * moved


@pytest.mark.parametrize("count", [30, 300])
@pytest.mark.parametrize("matrix", [CLEAR, WEAK])
def test_the_interval_holds_the_truth_about_95_times_in_100(matrix: Matrix, count: int) -> None:
    rng, held, asked = random.Random(7), 0, 0
    for n in range(90):
        mix = ROOMS[n % len(ROOMS)]
        shares = by_its_word([Evidence(_drawn(mix, matrix, count, rng), count, matrix)])
        held += sum(
            finding.low <= share <= finding.high for finding, share in zip(shares, mix, strict=True)
        )
        asked += COUNT
    assert 0.93 <= held / asked <= 0.995


# Through Redis -----------------------------------------------------------------------------


def _report(model: str, sizes: Sequence[str] = SIZE_CLASSES) -> ModelReport:
    kinds = {"hard": CLEAR, "soft": CLEAR}
    return ModelReport(model, EXPRESSIONS, 1.0, dict.fromkeys(sizes, kinds))


def _winners(counts: Sequence[float]) -> list[int]:
    """So many of each label, rounded so that their number stays."""
    ends = [0, *(round(end) for end in accumulate(counts))]
    return [label for label, (a, b) in enumerate(pairwise(ends)) for _ in range(b - a)]


def _won_by(label: int, confidence: float) -> list[float]:
    return [confidence if i == label else (1 - confidence) / (COUNT - 1) for i in range(COUNT)]


def _counted(
    store: Store,
    mix: Sequence[float],
    model: str = "net-1",
    size: int = 2,
    seconds: int = 55,
    room: str = "kitchen",
    confidence: float = 1.0,
) -> None:
    """Nearly a minute of one face at a time, of which labels win as `CLEAR` says of this mix."""
    frames = [
        delivery(
            result(
                n,
                face(_won_by(label, confidence), size),
                room=room,
                camera=f"{model}-{size}",
                interval_us=1_000_000,
                model=model,
            ),
            NOW_MS - 60_000 + n * 1000,
        )
        for n, label in enumerate(_winners(_as_shown(mix, CLEAR, us=seconds)))
    ]
    store.commit(frames, NOW_MS)
    store.touch_rooms({room: NOW_MS})


@pytest.fixture
def stats(client: redis.Redis) -> RoomStats:
    return RoomStats(client, now_ms=lambda: NOW_MS)


def _summary(stats: RoomStats, room: str = "kitchen") -> dict[str, Share]:
    return dict(stats.summary(room, MINUTE).shares)


def test_a_room_is_read_with_its_shares_corrected(store: Store, stats: RoomStats) -> None:
    store.write_models([_report("net-1")])
    _counted(store, SAD_ROOM)
    shares = _summary(stats)
    sad = shares["sadness"]
    assert sad.raw == pytest.approx(0.3325, abs=0.01)
    assert sad.corrected is not None
    assert sad.raw < sad.corrected <= 0.41
    assert sad.corrected_low is not None
    assert sad.corrected_high is not None
    assert sad.corrected_low < 0.4 < sad.corrected_high
    assert sad.low is not None
    assert sad.high is not None
    assert sad.corrected_high - sad.corrected_low > sad.high - sad.low
    assert sum(value.corrected or 0 for value in shares.values()) == pytest.approx(1)


def test_a_model_that_is_less_sure_of_the_same_labels_gives_the_same_corrected_shares(
    store: Store, stats: RoomStats
) -> None:
    store.write_models([_report("net-1")])
    _counted(store, SAD_ROOM)
    _counted(store, SAD_ROOM, room="dim-kitchen", confidence=0.7)
    sure, less = _summary(stats), _summary(stats, "dim-kitchen")
    for expression in EXPRESSIONS:
        assert less[expression].corrected == pytest.approx(sure[expression].corrected, abs=1e-6)
    assert less["disgust"].raw > sure["disgust"].raw + 0.02


def test_a_history_is_corrected_row_by_row(store: Store, stats: RoomStats) -> None:
    store.write_models([_report("net-1")])
    _counted(store, SAD_ROOM)
    rows = stats.history("kitchen", 3 * MINUTE, MINUTE)
    assert [len(row.shares) for row in rows] == [0, COUNT, 0]
    assert all(share.corrected is not None for share in rows[1].shares.values())


def test_without_a_matrix_nothing_is_corrected(store: Store, stats: RoomStats) -> None:
    _counted(store, SAD_ROOM)
    assert {value.corrected for value in _summary(stats).values()} == {None}
    store.write_models([_report("net-1")])
    assert None not in {value.corrected for value in _summary(stats).values()}


def test_half_a_minute_of_another_model_does_not_take_the_correction_away(
    store: Store, stats: RoomStats
) -> None:
    store.write_models([_report("net-1")])
    _counted(store, SAD_ROOM)
    alone = _summary(stats)["sadness"]
    _counted(store, SAD_ROOM, model="net-2", seconds=6)
    period = stats.summary("kitchen", MINUTE)
    sad = period.shares["sadness"]
    assert period.uncorrected_models == ("net-2",)
    assert 0.05 < period.uncorrected_share < 0.15
    assert sad.corrected == pytest.approx(alone.corrected, abs=0.03)
    assert _width(sad) == pytest.approx(_width(alone) + period.uncorrected_share, abs=0.05)


def test_what_a_model_without_a_matrix_saw_counts_as_it_saw_it(
    store: Store, stats: RoomStats
) -> None:
    """Not as the room's mean, which holds what the other model saw, too."""
    store.write_models([_report("net-1")])
    _counted(store, SAD_ROOM)
    alone = _summary(stats)
    afraid = [float(label == "fear") for label in EXPRESSIONS]
    _counted(store, afraid, model="net-2")
    period = stats.summary("kitchen", MINUTE)
    rest = period.uncorrected_share
    assert rest == pytest.approx(0.5, abs=0.05)
    seen = _as_shown(afraid, CLEAR, us=1)
    for label, share in period.shares.items():
        own, by_net_2 = alone[label].corrected, seen[EXPRESSIONS.index(label)]
        assert own is not None
        assert share.corrected == pytest.approx((1 - rest) * own + rest * by_net_2, abs=0.03)
    assert sum(share.corrected or 0 for share in period.shares.values()) == pytest.approx(1)


def _width(share: Share) -> float:
    assert share.corrected_low is not None
    assert share.corrected_high is not None
    return share.corrected_high - share.corrected_low


def test_a_size_without_a_matrix_is_not_corrected_by_that_of_another(
    store: Store, stats: RoomStats
) -> None:
    store.write_models([_report("net-1", ["medium", "large"])])
    _counted(store, SAD_ROOM, size=2)
    assert None not in {value.corrected for value in _summary(stats).values()}
    assert stats.summary("kitchen", MINUTE).uncorrected_share == 0.0
    _counted(store, SAD_ROOM, size=0)
    assert stats.summary("kitchen", MINUTE).uncorrected_share == pytest.approx(0.5, abs=0.05)


def test_the_matrices_are_read_by_size(store: Store, client: redis.Redis) -> None:
    store.write_models([_report("net-1", ["tiny", "large"])])
    stored: dict[str, str] = client.hgetall(redis_keys.model("net-1"))  # type: ignore[assignment]
    assert matrices(stored) == {"tiny": CLEAR, "large": CLEAR}
    assert matrices({}) == {}


@pytest.mark.parametrize(
    "foreign",
    ["", "{", "[" * 200_000, "5", "{}", "[[1.0]]", json.dumps([["a"] * COUNT] * COUNT),
     json.dumps([[True] * COUNT] * COUNT), json.dumps([[float("nan")] * COUNT] * COUNT),
     json.dumps([[2.0] * COUNT] * COUNT), json.dumps([[0.1] * COUNT] * 7 + [0.1])],
)  # fmt: skip
def test_a_matrix_that_is_none_leaves_its_size_uncorrected(
    store: Store, client: redis.Redis, stats: RoomStats, foreign: str
) -> None:
    store.write_models([_report("net-1", ["medium", "large"])])
    _counted(store, SAD_ROOM, size=2)
    _counted(store, SAD_ROOM, size=3)
    assert stats.summary("kitchen", MINUTE).uncorrected_share == 0.0
    client.hset(redis_keys.model("net-1"), "hard:large", foreign)
    summary = stats.summary("kitchen", MINUTE)
    assert summary.uncorrected_share == pytest.approx(0.5, abs=0.05)
    assert summary.uncorrected_models == ("net-1",)


def test_tables_and_csv_say_which_share_is_which(store: Store, stats: RoomStats) -> None:
    _counted(store, SAD_ROOM)
    raw = stats.summary("kitchen", MINUTE)
    assert "no matrix" in list(summary_table(raw).columns[1].cells)
    assert ",corrected_sadness," in next(csv_lines([raw]))
    store.write_models([_report("net-1")])
    table = summary_table(stats.summary("kitchen", MINUTE))
    assert [str(column.header) for column in table.columns] == [
        "Expression shown", "Corrected", "95 % interval",
        "As the model saw it", "95 % interval (chance alone)",
    ]  # fmt: skip
    assert "no matrix" not in list(table.columns[1].cells)


def test_a_period_of_nothing_has_no_shares_to_correct() -> None:
    empty = room_period("kitchen", {}, 0, 60, 60, {"net-1": {"large": CLEAR}})
    assert empty.shares == {}
