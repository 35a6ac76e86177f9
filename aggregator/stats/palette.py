"""One colour per expression, told apart by people who see colours differently.

After Okabe & Ito (2008), "Color Universal Design": its eight colours, with grey for its black,
which a dark page would swallow. Colour is never alone: the same figures stand beside it.
"""

from typing import Final

from roommood.shared.protocol.emotions import EXPRESSIONS

_COLOURS: Final = (
    "#8a93a0", "#e69f00", "#f0e442", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9",
)  # fmt: skip

COLOUR_OF: Final = dict(zip(EXPRESSIONS, _COLOURS, strict=True))

# From unpleasant over neither to pleasant; and from little to much (both of even lightness steps).
DIVERGING: Final = ("#2166ac", "#67a9cf", "#d1e5f0", "#f7f3e8", "#fdd9a0", "#f1a340", "#b35806")
SEQUENTIAL: Final = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")
