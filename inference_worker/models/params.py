"""How many parameters an ONNX file holds, read from the bytes of the file itself.

onnxruntime does not tell, and the `onnx` package is no part of a worker. Of the protocol buffer
(protobuf.dev/programming-guides/encoding) these fields are needed, numbered as in onnx.proto:
ModelProto.graph 7, GraphProto.initializer 5, TensorProto.dims 1 and data_type 2.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Final

from roommood.shared.errors import ModelError

_GRAPH, _INITIALIZER, _DIMS, _DATA_TYPE = 7, 5, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
# Whole numbers of 64 bits, strings and truth values are shapes and indices, not weights.
_NO_WEIGHTS: Final = frozenset({7, 8, 9})


def count_params(path: Path) -> int:
    """Numbers in the weights, however they are stored (fp16 and a Cast, or quantised).

    Raises ModelError where the file is no protocol buffer.
    """
    try:
        model = memoryview(path.read_bytes())
        graphs = _messages(model, _GRAPH)
        return sum(
            _numbers(tensor) for graph in graphs for tensor in _messages(graph, _INITIALIZER)
        )
    except (OSError, ValueError, IndexError) as error:
        raise ModelError(f"{path}: not a readable ONNX file: {error}") from error


def _messages(message: memoryview, field: int) -> Iterator[memoryview]:
    for number, value in _fields(message):
        if number == field and isinstance(value, memoryview):
            yield value


def _numbers(tensor: memoryview) -> int:
    """The product of its dims, or 0 where it holds no weights."""
    dims: list[int] = []
    for number, value in _fields(tensor):
        if number == _DATA_TYPE and value in _NO_WEIGHTS:
            return 0
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else _packed(value)
    return prod(dims)


def _packed(values: memoryview) -> Iterator[int]:
    place = 0
    while place < len(values):
        value, place = _varint(values, place)
        yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Each field's number, with its whole number or its bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        length, place = _length(kind, message, place)
        if place + length > len(message):
            raise ValueError(f"a field of {length} bytes reaches beyond the end")
        yield key >> 3, message[place : place + length]
        place += length


def _length(kind: int, message: memoryview, place: int) -> tuple[int, int]:
    if kind == _BYTES:
        return _varint(message, place)
    if kind not in _FIXED_SIZES:
        raise ValueError(f"a field of the unknown kind {kind}")
    return _FIXED_SIZES[kind], place


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Seven bits a byte, lowest first; the highest bit says that another byte follows."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
        shift += 7
