"""The API keeps to its own OpenAPI document, whatever it is asked."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.aggregator.dashboard.served import Served
from tests.aggregator.rooms import Rooms
from tests.end_to_end.site import until

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


@pytest.fixture
def operations(dashboard: Served, rooms: Rooms) -> list[Any]:
    """All but the events, which never end; test_events.py has them."""
    rooms.show("cellar", "happiness", people=2)
    rooms.health({"hall-1": {"room": "hall", "analysed@w1": 3.0}}, {"w1": {"threads": 1}})
    until(lambda: dashboard.room("cellar"), "the room is there")
    schema = schemathesis.openapi.from_url(f"{dashboard.url}/api/openapi.json")
    offered = schema.exclude(operation_id="events").get_all_operations()
    return [operation.ok() for operation in offered if isinstance(operation, Ok)]


def test_every_operation_keeps_to_the_document(operations: list[Any]) -> None:
    names = {case.definition.raw["operationId"] for case in operations}
    assert names == {"rooms", "room", "history", "health"}
    for operation in operations:
        check(operation, GenerationMode.POSITIVE)
        if operation.path_parameters:
            check(operation, GenerationMode.NEGATIVE)


def test_what_it_says_of_a_room_that_is_there_keeps_to_the_document(operations: list[Any]) -> None:
    room, history = (operation for operation in operations if operation.path_parameters)
    in_cellar = {"path_parameters": {"room": "cellar"}}
    assert room.Case(**in_cellar).call_and_validate(checks=CHECKS).status_code == 200
    for query, status in (
        ({}, 200), ({"last": "5m", "bucket": "10s"}, 200), ({"last": "2d", "bucket": "10s"}, 400),
    ):  # fmt: skip
        answer = history.Case(**in_cellar, query=query).call_and_validate(checks=CHECKS)
        assert answer.status_code == status


def check(operation: Any, mode: GenerationMode) -> None:
    """Asks what the document allows, or what it does not."""

    @settings(
        max_examples=20, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def keeps_to_it(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    keeps_to_it()


def test_an_answer_that_the_document_does_not_name_is_found(dashboard: Served) -> None:
    """The control: these checks do find what is wrong."""
    document = dashboard.json("/api/openapi.json")
    del document["paths"]["/api/rooms/{room}"]["get"]["responses"]["404"]
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=dashboard.url)
    nowhere = schema["/api/rooms/{room}"]["GET"].Case(path_parameters={"room": "nowhere"})
    with pytest.raises(FailureGroup, match="Undocumented"):
        nowhere.call_and_validate(checks=CHECKS)
