"""Names are parsed once at the edge; what passes is safe everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roommood.shared.errors import BadName, ConfigError
from roommood.shared.protocol.names import is_name, parse_camera, parse_room


@pytest.mark.parametrize("text", ["a", "0", "kitchen", "room-2_b", "a-", "a_", "x" * 63])
def test_a_good_name_is_taken_as_it_is(text: str) -> None:
    assert parse_room(text) == text
    assert parse_camera(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "-a", "_a", "Kitchen", "a b", "a{b}", "a:b", "ä", "a\n", "x" * 64, "٣", "a/b", "a."],
)
def test_a_bad_name_is_refused(text: str) -> None:
    with pytest.raises(BadName, match="room name"):
        parse_room(text)
    with pytest.raises(BadName, match="camera name"):
        parse_camera(text)


@pytest.mark.parametrize("thing", [None, 5, b"kitchen", ["a"]])
def test_what_is_no_text_is_no_name(thing: object) -> None:
    assert not is_name(thing)


def test_a_refusal_suggests_a_name_that_would_do() -> None:
    with pytest.raises(BadName, match="for example 'living-room'"):
        parse_room("Living Room!")


def test_a_name_of_which_nothing_is_usable_gets_no_suggestion() -> None:
    with pytest.raises(BadName, match=r"letter or digit$"):
        parse_room("???")


@given(st.text(max_size=100))
def test_every_text_is_a_name_or_is_refused_with_a_usable_suggestion(text: str) -> None:
    try:
        parse_room(text)
    except ConfigError as error:
        _, mark, rest = str(error).partition(" (for example ")
        suggestion = rest.removesuffix(")").strip("'")
        usable = not mark or is_name(suggestion)
        assert usable, suggestion
    else:
        assert is_name(text)
