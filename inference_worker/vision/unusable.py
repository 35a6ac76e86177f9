"""Why onnxruntime does not take a file, and what helps, for whoever did not make it."""

import re
from typing import Final

_EXPORT: Final = "export that model to ONNX"
_FETCH: Final = "fetch or export it again"
_WEIGHTS: Final = "its weights are in a file beside it: copy that too, whole, under its own name"
_SHOWN_CHARS: Final = 400
# Where in onnxruntime's source it was said.
_PLACE: Final = re.compile(r"/onnxruntime_src/\S+ .*?\) (?=[A-Z])")

# What a file begins with, from a place on: what it is, and what helps.
_KINDS: Final = (
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file", "run git lfs pull"),
    (0, b"<", "a web page or other XML", "fetch the file itself"),
    (0, b"PK\x03\x04", "a zip, as PyTorch's .pt and Keras' .keras are", _EXPORT),
    (0, b"\x80", "a pickle, as PyTorch and scikit-learn write them", _EXPORT),
    (0, b"\x89HDF", "HDF5, as Keras' .h5 is", _EXPORT),
    (4, b"TFL3", "a model of TensorFlow Lite", _EXPORT),
    (0, b"\x1f\x8b", "compressed by gzip", "unpack it"),
)
# What onnxruntime's message holds, and what helps.
_HELP: Final = (
    ("Unsupported model IR version", "install a newer one, or export the model for an older opset"),
    ("is under development", "install a newer one, or export the model for an older opset"),
    ("escapes model directory", "copy the file with its weights beside it, instead of a link"),
    ("xternal", _WEIGHTS),
    ("cannot get file size", _WEIGHTS),
    ("is not a registered function/op", "export it without operations of its own"),
    ("No Op registered", "export it with operations of ONNX alone"),
    ("NOT_IMPLEMENTED", "export it in float32"),
)


def why_unusable(content: bytes, error: Exception, runtime: str) -> str:
    """A sentence on a file of which `runtime` (name and version) says `error`."""
    if not content.strip():
        return f"it is empty ({len(content)} bytes): {_FETCH}"
    beginning = content[:64].lstrip()
    for place, mark, what, todo in _KINDS:
        if beginning[place:].startswith(mark):
            return f"it is {what}: {todo}"
    text = _PLACE.sub("", " ".join(str(error).split()))
    todo = next((todo for words, todo in _HELP if words in text), _FETCH)
    return f"{runtime} says of its {len(content):,} bytes: {text[:_SHOWN_CHARS]}: {todo}"
