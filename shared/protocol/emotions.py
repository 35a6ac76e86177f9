"""The expressions told apart, and the classes of face size, in their wire order.

The eight expressions are those of FER+ (Barsoum et al. 2016, arXiv 1608.01041), in the
order of its label file. The order is part of the wire format: append, never reorder.
"""

from collections.abc import Sequence
from typing import Final

EXPRESSIONS: Final = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
)  # fmt: skip

# Pleasure of each expression in -1..1, for the one-number "valence" of a room: after the
# pleasure means that Russell & Mehrabian (1977), "Evidence for a three-factor theory of
# emotions", J. Res. Pers. 11, 273-294, give for happy, surprised, sad, angry, disgusted and
# fearful, rounded to a tenth. Neutral is 0 by definition; contempt's -0.2 is our own choice.
VALENCE: Final = (0.0, 0.8, 0.4, -0.6, -0.5, -0.6, -0.6, -0.2)

# A face belongs to the largest class whose lower bound it reaches; the bound is the mean
# side of its bounding box in pixels of the analysed picture. Confusion differs by class,
# so sums are kept apart by it.
SIZE_CLASSES: Final = ("tiny", "small", "medium", "large")
SIZE_LOWER_PX: Final = (0, 20, 32, 48)


def size_class(width_px: float, height_px: float) -> int:
    """Index into `SIZE_CLASSES` of a face whose bounding box has these sides in pixels."""
    side = (width_px * height_px) ** 0.5 if width_px > 0 and height_px > 0 else 0.0
    return sum(side >= bound for bound in SIZE_LOWER_PX[1:])


def valence(shares: Sequence[float]) -> float:
    """Mean pleasure in -1..1 of shares per expression (any scale; all zero gives 0)."""
    total = sum(shares)
    if total <= 0:
        return 0.0
    return sum(share * weight for share, weight in zip(shares, VALENCE, strict=True)) / total
