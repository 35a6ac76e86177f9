"""No sentence of the validator reaches a user."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from roommood.shared.process.advice import advice


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


@dataclass
class Point:
    x: int


def refuse(value: str) -> str:
    raise ValueError(f"{value!r} is no host name")


def of(kind: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    (error,) = refused.value.errors()
    output = advice(error)
    assert error["msg"] not in output
    return output


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (int, "many", "give a whole number"),
        (int, 1.5, "give a whole number"),
        (int, [], "give a whole number"),
        (float, "many", "give a number"),
        (Annotated[int, Field(ge=3)], 2, "give 3 or more"),
        (Annotated[int, Field(gt=3)], 3, "give more than 3"),
        (Annotated[int, Field(le=65_535)], 65_536, "give 65535 or less"),
        (Annotated[float, Field(lt=0.5)], 1, "give less than 0.5"),
        (Annotated[float, Field(allow_inf_nan=False)], float("nan"), "give a finite number"),
        (bool, "perhaps", "give true or false"),
        (str, 5, "give text, in quotes"),
        (Annotated[str, Field(min_length=2)], "a", "give 2 characters or more"),
        (Annotated[str, Field(pattern="^[A-Z]{2}$")], "at", "give text of the form ^[A-Z]{2}$"),
        (Annotated[str, AfterValidator(refuse)], "-x", "'-x' is no host name"),
        (Literal["face", "expression"], "nose", "give 'face' or 'expression'"),
        (Path, 5, "give a path, in quotes"),
        (list[int], 5, "give a list"),
        (tuple[int, ...], 5, "give a list"),
        (Annotated[list[int], Field(min_length=1)], [], "give 1 of them or more"),
        (dict[str, int], 5, "give a table of keys and values"),
        (Strict, 5, "give a table of keys and values"),
        (Strict, {}, "is needed"),
        (Strict, {"name": "a", "nam": "b"}, "is not known"),
        (Point, {}, "is needed"),
        (Point, 5, "give a table of keys and values"),
        (bytes, 5, "this cannot be used here"),
    ],
)
def test_an_error_says_what_to_give_instead(kind: Any, value: Any, message: str) -> None:
    assert of(kind, value) == message
