"""What became of results that were to be counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from roommood.shared.errors import ShardAway, StoreAway, StoreError, StoreRefuses


class Outcome(StrEnum):
    """What became of one result. All but UNSETTLED may be acknowledged."""

    COMMITTED = "committed"
    DUPLICATE = "duplicate"
    FORGOTTEN = "forgotten"  # refused: its room was forgotten after it was captured
    UNSETTLED = "unsettled"  # Redis refused or gave no answer: to be sent again


# By the letter that the script answers.
OUTCOME_OF: Final = {"c": Outcome.COMMITTED, "d": Outcome.DUPLICATE, "f": Outcome.FORGOTTEN}


@dataclass(frozen=True, slots=True)
class CommitReport:
    """`outcomes` in the order of the batch; `errors` by room, for rooms left unsettled."""

    outcomes: tuple[Outcome, ...]
    errors: Mapping[str, StoreError]

    @property
    def away(self) -> StoreAway | StoreRefuses | None:
        """Set if Redis gave no answer, or takes nothing: every room without an answer is unsettled.

        Not set as long as any shard of a Cluster may answer.
        """
        away = (
            error for error in self.errors.values() if isinstance(error, StoreAway | StoreRefuses)
        )
        return next((error for error in away if not isinstance(error, ShardAway)), None)
