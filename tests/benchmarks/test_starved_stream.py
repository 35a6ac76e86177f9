import pytest

from benchmarks.starved_stream import starved_row


@pytest.mark.parametrize(
    ("oldest_s", "never_given_up_s", "held"),
    [(1.8, 11.0, True), (4.5, 11.0, False), (1.0, 0.7, False), (1.8, 4.0, False)],
)
def test_old_pictures_are_bounded_only_where_those_never_given_up_grow_older(
    oldest_s: float, never_given_up_s: float, held: bool
) -> None:
    row = starved_row(oldest_s, never_given_up_s)
    assert (row.value, row.held) == (oldest_s, held)
    assert row.beside == {"never given up": never_given_up_s}
