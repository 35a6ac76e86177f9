"""What a classifier takes one expression for, by the size of the face: shares of a room are
corrected by it, so it should hold for faces that neither the classifier nor its maker has seen.

Two standards of labels are asked, since a room has neither: what most voters named, and the word
that a picture was searched by, where voters see that as well. What only few faces show is drawn
towards the usual, so that a row says no more than its faces can tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from roommood.inference_worker.evaluation.ferplus import (
    SIDE_PX,
    UNCLEAR,
    FaceSet,
    majority_labels,
)
from roommood.inference_worker.vision.sharpness import least_sure
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.evaluate import COUNT, Classifier, at_size, view
from roommood.training.expression.ferplus import Floats, Labels, Pictures

SIZE_CLASS_PX: Final = {"tiny": 16, "small": 24, "medium": 40, "large": 48}
VIEWS_PX: Final = (-3, 0, 3)
# What the searched words weigh beside the votes, and how many voters must name the same; chosen,
# as the faces that the usual counts for, by leaving whole sources out.
SEARCHED_WEIGHT: Final = 0.25
CONFIRMING_VOTES: Final = 2
FACES_OF_THE_USUAL: Final = 5.0

Tables = dict[str, dict[str, list[list[float]]]]


@dataclass(frozen=True)
class Labelled:
    """Pictures (N, 48, 48) with the label that most voted for and the one they were searched by,
    (N,) each, UNCLEAR where there is none."""

    pictures: Pictures
    voted: Labels
    searched: Labels

    def joined(self, other: "Labelled") -> "Labelled":
        """These, then the others."""
        return Labelled(
            np.concatenate([self.pictures, other.pictures]),
            np.concatenate([self.voted, other.voted]),
            np.concatenate([self.searched, other.searched]),
        )


def labelled(faces: FaceSet, split: str, first: Mapping[str, str]) -> Labelled:
    """The faces of a split of that name; `first` has the searched words by SPLIT/NAME."""
    places = {word: place for place, word in enumerate(EXPRESSIONS)}
    words = [places.get(first.get(f"{split}/{name}", ""), UNCLEAR) for name in faces.names]
    searched = np.array(words, np.int64).reshape(len(faces))
    named = faces.votes[np.arange(len(faces)), searched.clip(min=0)] >= CONFIRMING_VOTES
    return Labelled(
        faces.pictures, majority_labels(faces.votes), np.where(named, searched, UNCLEAR)
    )


def confusion_by_size(model: Path, faces: Labelled, sure_threshold: float) -> Tables:
    """Per size class how often each label wins (`hard`), and the mean probabilities (`soft`),
    given the truth in rows, (8, 8) each.

    Faces that the worker would not call sure add nothing, since only the others reach the sums
    to be corrected: a row adds up to the part that is sure.
    Each face counts once per view, so that rare rows rest on more than one crop of a face.
    The row of an expression that no face shows is zero.
    """
    classifier = Classifier(model)
    views = np.concatenate([view(faces.pictures, SIDE_PX, step) for step in VIEWS_PX])
    voted, searched = np.tile([faces.voted, faces.searched], len(VIEWS_PX))
    tables = {}
    for size, px in SIZE_CLASS_PX.items():
        shown = at_size(views, px)
        answers = classifier.probabilities(shown)
        sure = (answers.max(1) >= least_sure(shown, sure_threshold))[:, None]
        winners = np.eye(COUNT, dtype=np.float32)[answers.argmax(axis=1)]
        tables[size] = {
            kind: rows_of(shares * sure, voted, searched, len(VIEWS_PX)).round(4).tolist()
            for kind, shares in (("hard", winners), ("soft", answers))
        }
    return tables


def rows_of(answers: Floats, voted: Labels, searched: Labels, views: int = 1) -> Floats:
    """Mean answers (8, 8) by true expression of answers (N, 8), each face being there in so many
    views; an expression that nobody voted for has a row of zeros."""
    by_votes = _rows(answers, voted, views)
    by_words = _rows(answers, searched, views)
    both = (by_votes.sum(axis=1) > 0) & (by_words.sum(axis=1) > 0)
    mixed = (1 - SEARCHED_WEIGHT) * by_votes + SEARCHED_WEIGHT * by_words
    return np.where(both[:, None], mixed, by_votes)


def _rows(answers: Floats, truth: Labels, views: int) -> Floats:
    """As `rows_of`, by one standard; the usual is half the right answer, half what any face is."""
    answers, truth = answers[truth != UNCLEAR].astype(np.float64), truth[truth != UNCLEAR]
    if not len(truth):
        return np.zeros((COUNT, COUNT))
    any_face = answers.mean(axis=0)
    usual = (any_face + any_face.sum() * np.eye(COUNT)) / 2
    sums = np.stack([answers[truth == label].sum(axis=0) for label in range(COUNT)])
    count = np.bincount(truth, minlength=COUNT)[:, None]
    few = FACES_OF_THE_USUAL * views
    return np.where(count > 0, (sums + few * usual) / (count + few), 0.0)
