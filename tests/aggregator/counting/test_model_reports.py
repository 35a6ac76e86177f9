"""Of a model's name one contract is written, and without matrices while two workers differ."""

import pytest
import redis

from roommood.aggregator.counting.model_reports import ModelReports
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.protocol.messages import ModelReport

MATRICES = {"small": {"hard": [[0.125] * 8] * 8, "soft": [[0.125] * 8] * 8}}
FIRST = ModelReport("my-model", ("neutral", "fear"), 1.0, MATRICES)
SECOND = ModelReport("my-model", ("neutral", "anger"), 1.0, MATRICES)


def tell(reports: ModelReports, *reported: tuple[ModelReport, float]) -> list[ModelReport]:
    """What is due after these reports, at these seconds."""
    for report, now_s in reported:
        reports.tell(report, now_s * 1000)
    return list(reports.due())


def test_a_contract_is_due_once_and_as_it_is() -> None:
    reports = ModelReports()
    assert tell(reports, (FIRST, 0), (FIRST, 1)) == [FIRST]
    reports.written()
    assert list(reports.due()) == []


def test_two_models_of_one_name_have_no_matrices_in_redis(
    store: Store, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    reports = ModelReports()
    store.write_models(tell(reports, (FIRST, 0)))
    assert client.hexists(redis_keys.model("my-model"), "hard:small")
    for now_s in range(40, 600, 60):
        for report, at_s in ((SECOND, now_s), (FIRST, now_s + 20)):
            store.write_models(tell(reports, (report, at_s)))
            reports.written()
            assert not client.hexists(redis_keys.model("my-model"), "hard:small")
    assert caplog.records[0].message == "models of the same name differ"
    assert vars(caplog.records[0])["fields"] == {
        "model": "my-model",
        "todo": "give each file a model_id of its own",
    }


def test_a_model_that_took_the_place_of_another_has_its_own_after_a_while() -> None:
    reports = ModelReports()
    tell(reports, (FIRST, 0))
    (soon,) = tell(reports, (SECOND, 5))
    assert (soon.labels, soon.confusion) == (SECOND.labels, {})
    assert tell(reports, (SECOND, 65), (SECOND, 125)) == [soon]
    assert tell(reports, (SECOND, 185)) == [SECOND]


def test_names_without_end_are_not_kept() -> None:
    reports = ModelReports()
    for number in range(2_000):
        reports.tell(ModelReport(f"net-{number}", ("neutral",), 1.0, {}), 0)
        reports.written()
    (due,) = tell(reports, (ModelReport("net-1999", ("fear",), 1.0, MATRICES), 1))
    assert due.confusion == {}
