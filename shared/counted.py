"""Numbers of things, as a person reads them."""


def counted(number: int, what: str) -> str:
    """`1 frame`, `0 frames`; `what` is one of them."""
    return f"{number} {what}{'' if number == 1 else 's'}"
