"""By which MQTT a broker is spoken to: by 5, whose brokers say what they refuse, or by 3.1.1.

Whoever hangs up on 5 may know 3.1.1 alone, or be just starting behind a proxy that takes
connections for it, as Docker's does. So another try by 5 has to tell. Pure.
"""

from enum import Enum, auto


class Ending(Enum):
    """How a connection went until it ended."""

    WORKED = auto()
    REFUSED = auto()
    HUNG_UP = auto()  # without a word
    NOT_UNDERSTOOD = auto()  # it said that, or something else than this version allows


class Version:
    """`is_v5` is of the next connection, or of the one that there is."""

    def __init__(self) -> None:
        self.is_v5 = True
        self._knows_no_5 = False
        self._older_has_just_worked = False

    @property
    def is_kept(self) -> bool:
        """Whether a connection that lets us in is for good, or for nothing but to learn of it."""
        return self.is_v5 or self._knows_no_5

    def ended(self, how: Ending) -> None:
        """Of a connection by `is_v5`. After one by 3.1.1 the broker may be another by now."""
        if self.is_v5 and how in (Ending.HUNG_UP, Ending.NOT_UNDERSTOOD):
            self.is_v5 = False
            self._knows_no_5 = self._older_has_just_worked or how is Ending.NOT_UNDERSTOOD
            self._older_has_just_worked = False
        elif self.is_v5 or how is not Ending.REFUSED:
            self._older_has_just_worked = how is Ending.WORKED and not self.is_kept
            self.is_v5, self._knows_no_5 = True, False

    def unreached(self) -> None:
        """There was no connection: what comes next is no answer to what was before."""
        self._older_has_just_worked = False
