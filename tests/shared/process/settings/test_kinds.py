"""Each kind takes what TOML gives and what a flag or variable says, and bounds both alike."""

from pathlib import Path
from typing import Any

import pytest

from roommood.shared.process.settings import kinds
from roommood.shared.process.settings.kinds import Kind

SQUARE = [[0, 0], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (kinds.whole(1, 64), 1, 1),
        (kinds.whole(1, 64), "64", 64),
        (kinds.whole(1, 64), 5.0, 5),
        (kinds.number(0, 300), 0, 0.0),
        (kinds.number(0, 300), "2.5", 2.5),
        (kinds.number(0, 240, above=True), 240, 240.0),
        (kinds.switch(), True, True),
        (kinds.switch(), "Off", False),
        (kinds.switch(), "1", True),
        (kinds.choice(0, 90), "90", 90),
        (kinds.choice("text", "json"), "json", "json"),
        (kinds.file_path(), "~/keys", Path.home() / "keys"),
        (kinds.address(), "desk:5701", "tcp://desk:5701"),
        (kinds.address(), "tcp://*:5701", "tcp://*:5701"),
        (kinds.reached_address(), "desk:5701", "tcp://desk:5701"),
        (kinds.page_address(), "tcp://desk:5780", "desk:5780"),
        (kinds.picture_source(), 0, "0"),
        (kinds.polygon(), "[[0,0],[1,0],[1,1]]", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),
        (kinds.several(kinds.whole(1, 9), 1, 3), "1 2", (1, 2)),
        (kinds.several(kinds.whole(1, 9), 1, 3), "[1, 2]", (1, 2)),
        (kinds.several(kinds.polygon(), 0, 3), [], ()),
        (kinds.redis_address(), "redis://user@desk/0", "redis://user@desk/0"),
    ],
)
def test_a_value_is_taken(kind: Kind[Any], given: Any, value: Any) -> None:
    assert kind.check(given) == value


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (kinds.whole(1, 64), 0),
        (kinds.whole(1, 64), 65),
        (kinds.whole(1, 64), 1.5),
        (kinds.whole(1, 64), True),
        (kinds.whole(1, 64), "1e999"),
        (kinds.whole(1, 64), 10**400),
        (kinds.number(0, 300), -0.1),
        (kinds.number(0, 300), 300.1),
        (kinds.number(0, 300), "nan"),
        (kinds.number(0, 240, above=True), 0),
        (kinds.switch(), 1),
        (kinds.switch(), "perhaps"),
        (kinds.choice(0, 90), 17),
        (kinds.choice(0, 1), True),
        (kinds.any_text(), 5),
        (kinds.file_path(), 5),
        (kinds.page_address(), "desk"),
        (kinds.picture_source(), -1),
        (kinds.picture_source(), True),
        (kinds.polygon(), SQUARE[:2]),
        (kinds.polygon(), [*SQUARE, [0, 2]]),
        (kinds.polygon(), [*SQUARE, ["x"]]),
        (kinds.polygon(), SQUARE * 34),
        (kinds.polygon(), "[[0,0]"),
        (kinds.several(kinds.whole(1, 9), 1, 3), []),
        (kinds.several(kinds.whole(1, 9), 1, 3), [1, 2, 3, 4]),
        (kinds.several(kinds.whole(1, 9), 1, 3), 5),
        (kinds.several(kinds.whole(1, 9), 1, 3), "[1"),
        (kinds.redis_address(), "redis://user:secret@desk/0"),
        (kinds.redis_address(), "redis://desk/0?PASSWORD=secret"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_to_give(kind: Kind[Any], given: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^(give|put|number \d|'desk' is not an address)"
    ) as error:
        kind.check(given)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("given", ["tcp://*:5555", "0.0.0.0:5555", "[::]:5555", "0:5555"])
def test_a_peer_is_on_one_machine(given: str) -> None:
    with pytest.raises(ValueError, match=r"number of one, or 127\.0\.0\.1:5555 for this one$"):
        kinds.reached_address().check(given)
