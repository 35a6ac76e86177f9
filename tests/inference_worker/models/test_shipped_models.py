"""The weights that are shipped do what their card says, on pictures that everybody has.

FER+ may not be carried here. The two portraits that come inside scikit-image and matplotlib are
seen in many sizes, lights and qualities instead: the astronaut smiles, the admiral does not.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.inference_worker.models.params import count_params
from roommood.inference_worker.vision.analysis import Analyzer, open_analyzer
from roommood.inference_worker.vision.decode import decode
from roommood.inference_worker.vision.emotions import ExpressionClassifier, open_classifier
from roommood.inference_worker.vision.faces import Detection
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from tests.inference_worker.pictures import astronaut, grace_hopper, jpeg

# Where Haar finds the faces: x, y, width and height in pixels of the whole pictures.
FACES = {
    "happiness": (astronaut(), (177, 67, 94, 94)),
    "neutral": (grace_hopper(), (147, 102, 239, 239)),
}


@pytest.fixture(scope="module")
def classifier() -> ExpressionClassifier:
    return open_classifier(box_style="haar")


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return open_analyzer("haar")


def variants(
    picture: Picture, box: tuple[int, ...], side_px: int
) -> Iterator[tuple[Picture, Detection]]:
    """The picture with its face at about `side_px`, darker, noisier, as JPEG, the box jittered."""
    rng = np.random.default_rng(side_px)
    factor = side_px / box[2]
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    for light in (0.6, 1.0, 1.3):
        for quality in (40, 90):
            noise = rng.normal(0, 4, small.shape)
            seen = np.clip(small * light + noise, 0, 255).astype(np.uint8)
            seen = decode(jpeg(seen, cv2.IMWRITE_JPEG_QUALITY, quality))
            dx, dy, dw = rng.uniform(-0.06, 0.06, 3) * side_px
            x, y, side = box[0] * factor + dx, box[1] * factor + dy, side_px + dw
            yield seen, Detection(x, y, side, side, 0.9)


# At 24 px the admiral's mouth is 6 px wide, and he is taken for smiling half of the time.
@pytest.mark.parametrize(
    ("expression", "side_px"),
    [
        *(("happiness", side_px) for side_px in (20, 24, 32, 48, 96)),
        *(("neutral", side_px) for side_px in (32, 48, 96)),
    ],
)
def test_known_faces_are_told_in_many_sizes_lights_and_qualities(
    classifier: ExpressionClassifier, expression: str, side_px: int
) -> None:
    expressions = [
        EXPRESSIONS[int(np.argmax(classifier.classify(picture, [face])[0].probabilities))]
        for picture, face in variants(*FACES[expression], side_px)
    ]
    assert expressions.count(expression) >= 5, expressions


def test_the_shipped_classifier_passes_its_self_test(classifier: ExpressionClassifier) -> None:
    assert classifier.contract.selftest is not None
    classifier.self_test()  # raises where the outputs are not those recorded


def test_the_shipped_classifier_is_as_small_as_its_card_says() -> None:
    assert SHIPPED_EXPRESSION.stat().st_size <= 1_200_000
    assert count_params(SHIPPED_EXPRESSION) <= 1_110_000


def test_the_shipped_contract_is_complete(classifier: ExpressionClassifier) -> None:
    contract = classifier.contract
    assert contract.labels == EXPRESSIONS
    assert set(contract.confusion) == set(SIZE_CLASSES)
    assert contract.selftest is not None
    assert contract.licence
    assert contract.training_data


def test_both_portraits_go_through_the_whole_analysis(analyzer: Analyzer) -> None:
    for expression, (picture, _) in FACES.items():
        best = analyzer.analyze(jpeg(picture)).faces[0]
        assert EXPRESSIONS[int(np.argmax(best.probabilities))] == expression
        assert best.sure
