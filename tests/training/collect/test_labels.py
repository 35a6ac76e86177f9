"""Names of expressions as people write them."""

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.collect.labels import expression_named


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_each_expression_has_its_own_name_in_any_case(name: str) -> None:
    assert expression_named(name.upper()) == name


@pytest.mark.parametrize(
    ("name", "expression"),
    [("happy", "happiness"), ("Sad", "sadness"), ("angry", "anger"), ("fearful", "fear"),
     ("disgusted", "disgust"), ("surprised", "surprise")],
)  # fmt: skip
def test_usual_synonyms_are_known(name: str, expression: str) -> None:
    assert expression_named(name) == expression


@pytest.mark.parametrize(
    ("name", "nearest"), [("hapiness", "happiness"), ("surprized", "surprise"), ("agnry", "anger")]
)
def test_a_misspelt_name_is_an_error_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {nearest}"):
        expression_named(name)


def test_a_name_that_resembles_none_lists_all() -> None:
    with pytest.raises(ConfigError, match="neutral, happiness") as caught:
        expression_named("xyzzy")
    assert "did you mean" not in str(caught.value)
