"""What a validator found wrong, in our own words: what to give instead."""

from typing import Any, Final

_WHOLE: Final = "give a whole number"
_NUMBER: Final = "give a number"
_SWITCH: Final = "give true or false"
_LIST: Final = "give a list"
_TABLE: Final = "give a table of keys and values"
_UNKNOWN: Final = "is not known"
# By the type of an error as pydantic names it; in braces what it knows of the bounds.
_ADVICE: Final = {
    "missing": "is needed",
    "missing_argument": "is needed",
    "missing_keyword_only_argument": "is needed",
    "extra_forbidden": _UNKNOWN,
    "unexpected_keyword_argument": _UNKNOWN,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "give a finite number",
    "greater_than": "give more than {gt:g}",
    "greater_than_equal": "give {ge:g} or more",
    "less_than": "give less than {lt:g}",
    "less_than_equal": "give {le:g} or less",
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "string_type": "give text, in quotes",
    "string_too_short": "give {min_length} characters or more",
    "string_too_long": "give {max_length} characters or fewer",
    "string_pattern_mismatch": "give text of the form {pattern}",
    "path_type": "give a path, in quotes",
    "literal_error": "give {expected}",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "too_short": "give {min_length} of them or more",
    "too_long": "give {max_length} of them or fewer",
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "dataclass_type": _TABLE,
    "dataclass_exact_type": _TABLE,
}


def advice(error: Any) -> str:
    """For one of the errors that pydantic lists; an error of ours keeps its own words."""
    about = error.get("ctx") or {}
    if error["type"] == "value_error":
        return str(about["error"])
    template = _ADVICE.get(error["type"])
    return template.format_map(about) if template else "this cannot be used here"
