"""One line for each figure that a page shows, within reach where the figure stands."""

from collections.abc import Iterator
from typing import Final

from markupsafe import Markup

from roommood.aggregator.stats.health import CameraHealth, WorkerHealth
from roommood.shared.protocol.measures import Measured, measured

# By a word of ours: what the page calls it, and what it is.
_TERMS: Final = {
    "people": ("People", "Faces at once: by the camera that sees most, or all cameras' together "
               "where each sees other people."),
    "dominant": ("Mostly", "The expression with the largest share now; another takes its place "
                 "once it leads by a tenth."),
    "share": ("Share", "Part of the time for which sure faces were seen that showed this "
              "expression, as the model saw it or corrected for what it confuses."),
    "interval": ("95 % interval", "How far the share over the whole time may be from that over "
                 "the part that was seen."),
    "coverage": ("Coverage", "Part of the time in which a camera observed the room. What was not "
                 "observed is left out, and taken to be like the rest."),
    "valence": ("Valence", "How pleasant the expressions shown are on average, from −1 "
                "(unpleasant) to +1 (pleasant)."),
    "sure": ("Faces that are sure", "Part of the face time in which the model was sure of an "
             "expression; only that counts for shares."),
    "looks": ("Looks", "10 s of a sure face's time are one look; five are the least for an "
              "interval."),
    "frames": ("Frames", "Pictures that were analysed."),
    "face-time": ("Face time", "Time of all faces together: two people for an hour are two hours."),
    "cameras": ("Cameras", "Cameras whose pictures came in the last seconds."),
    "last-hour": ("Last hour", "The last hour minute by minute; a gap is a minute that nobody "
                  "observed."),
    "before": ("Before", "The same of the period before, as long, and up to the same time."),
    "refused": ("Refused", "Pictures that came and were not analysed, by the reason."),
}  # fmt: skip
CAMERA_COLUMNS: Final = [row for row in measured(CameraHealth) if row.measure.label]
WORKER_COLUMNS: Final = [row for row in measured(WorkerHealth) if row.measure.label]


def term(name: str, label: str = "") -> Markup:
    """A figure's name as a button that shows its line. Raises KeyError for one without a line."""
    known, _ = _TERMS[name]
    return _button(name, label or known)


def column(row: Measured) -> Markup:
    """The same for a declared number of health."""
    return _button(_id(row), row.measure.label)


def explanations() -> Iterator[tuple[str, str, str]]:
    """Id, name and line of each."""
    for name, (label, line) in _TERMS.items():
        yield name, label, line
    for kind, rows in (("Camera", CAMERA_COLUMNS), ("Worker", WORKER_COLUMNS)):
        for row in rows:
            yield _id(row), f"{kind}: {row.measure.label}", row.measure.description


def _id(row: Measured) -> str:
    owner = "camera" if row in CAMERA_COLUMNS else "worker"
    return f"{owner}-{row.name.replace('_', '-')}"


def _button(name: str, label: str) -> Markup:
    return Markup(
        '<button type="button" class="rm-term" popovertarget="why-{}">{}</button>'
    ).format(name, label)
