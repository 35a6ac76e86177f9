"""Expressions by the names that people give to folders and options."""

from difflib import get_close_matches
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.emotions import EXPRESSIONS

_SYNONYMS: Final = {
    "calm": "neutral",
    "happy": "happiness",
    "joy": "happiness",
    "smile": "happiness",
    "surprised": "surprise",
    "sad": "sadness",
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "contemptuous": "contempt",
}


def expression_named(text: str) -> str:
    """The expression that a name or one of its usual synonyms means, in any case.

    Raises ConfigError, naming the nearest one that is known.
    """
    name = text.strip().lower()
    label = _SYNONYMS.get(name, name)
    if label in EXPRESSIONS:
        return label
    nearest = get_close_matches(name, (*EXPRESSIONS, *_SYNONYMS), 1, 0.5)
    hint = f"did you mean {_SYNONYMS.get(nearest[0], nearest[0])}? " if nearest else ""
    raise ConfigError(f"{text!r} is no expression: {hint}Use one of {', '.join(EXPRESSIONS)}")
