"""The two decoders under atheris; run by `tests.hostile.fuzz` in an environment of its own.

`wire`: the first byte chooses the decoder; a message that decodes must survive being encoded
and decoded again. `jpeg`: what our reader takes must decode to the claimed size, gray and in
colour, or be refused. Anything but the documented errors ends the run with the input.
"""

import itertools
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import atheris  # type: ignore[import-untyped]
import msgpack

with atheris.instrument_imports(include=["shared", "roommood.inference_worker.vision.decode"]):
    from roommood.inference_worker.vision.decode import decode
    from roommood.shared.errors import PictureError, WireError
    from roommood.shared.protocol import wire
    from roommood.shared.protocol.jpeg import read_header

# A decoder's time grows with what is claimed; small claims try more inputs.
_MAX_SIDE_PX: Final = 256
_SPLICES: Final = 8
# Share of mutations that start from a whole picture again: a corpus tends to what is short.
_FRESH: Final = 0.4
_WHOLE: Final = [path.read_bytes() for path in sorted(Path("tests/golden/jpeg").glob("taken--*"))]
_SEEN: Final = list(range(64))
_PREFIX_BYTES: Final = 5  # the choice, and the message's own four
_ODD: Final[list[Any]] = [
    None, True, False, 0, 1, -1, 255, 1 << 16, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, (1 << 64) - 1,
    -(1 << 63), 0.5, -0.0, 1e15, 1e16, -1e15, float("nan"), float("inf"), float("-inf"), 5e-324,
    "", "a", "a:b", "{x}", "../x", "\x1b[31m", "\u202eabc", "\ud800", "x" * 64, b"", b"\xff" * 70,
    [], [[]], [[0.0] * 8] * 8, {}, {"": {}}, {"hard": 1}, msgpack.ExtType(1, b""),
]  # fmt: skip


def wire_target(data: bytes) -> None:
    which, message = data[:1], data[1:]
    decode_it, encode_it = _PAIRS[which[0] % len(_PAIRS) if which else 0]
    try:
        value = decode_it(message)
    except WireError:
        return
    assert decode_it(encode_it(value)) == value


def _decode_frame(data: bytes) -> Any:
    return wire.decode_frame(data, b"")


_PAIRS: Final[list[tuple[Callable[[bytes], Any], Callable[[Any], bytes]]]] = [
    (wire.decode_hello, wire.encode_hello),
    (wire.decode_credit, wire.encode_credit),
    (_decode_frame, wire.encode_frame),
    (wire.decode_report, wire.encode_report),
    (wire.decode_ack, wire.encode_ack),
]


def jpeg_target(data: bytes) -> None:
    try:
        header = read_header(data)
    except PictureError:
        return
    if max(header.width, header.height) > _MAX_SIDE_PX:
        return
    for as_gray in (False, True):
        try:
            picture = decode(data, as_gray=as_gray)
        except PictureError:
            continue
        assert picture.shape[:2] == (header.height, header.width)
        _notice(int(picture[::4, ::4].mean()), int(picture[::4, ::4].std()))


@atheris.instrument_func  # type: ignore[untyped-decorator]
def _notice(mean: int, spread: int) -> int:
    """Branches by what was decoded: OpenCV's own are not seen, so pictures must differ here."""
    seen = 0
    for limit in range(0, 256, 16):
        if mean < limit:
            seen += 1
        if spread < limit // 2:
            seen += 2
    return _SEEN[seen % len(_SEEN)]


def mutate_wire(data: bytes, max_size: int, seed: int) -> bytes:
    """Half the time one value of the message is another, repeated, or of another message."""
    dice = random.Random(seed)
    try:
        value = msgpack.unpackb(data[_PREFIX_BYTES:], strict_map_key=False)
    except Exception:
        value = None
    if dice.random() < 0.4 or not isinstance(value, dict) or not value:
        return bytes(atheris.Mutate(data, max_size))
    _change(value, dice)
    try:
        packed = msgpack.packb(value, unicode_errors="surrogatepass")
    except Exception:
        return data
    return (data[:_PREFIX_BYTES] + bytes(packed))[:max_size]


def _change(value: Any, dice: random.Random) -> None:
    """Descends at random, and changes what it finds there."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = dice.choice(keys)
    inner = value[key]
    if isinstance(inner, dict | list) and inner and dice.random() < 0.8:
        _change(inner, dice)
    elif isinstance(value, list) and dice.random() < 0.3:
        value.extend([inner] * dice.choice([1, 2, 300]))
    elif dice.random() < 0.1:
        del value[key]
    elif isinstance(inner, int | float) and dice.random() < 0.4:
        value[key] = inner + dice.choice([-1, 1, 0.5, 1 << 31, -(1 << 31)])
    else:
        value[key] = dice.choice(_ODD)


def mutate_jpeg(data: bytes, max_size: int, seed: int) -> bytes:
    """Half the time whole segments are copied, dropped, moved or cut; else bytes are changed."""
    dice = random.Random(seed)
    if dice.random() < _FRESH:
        data = dice.choice(_WHOLE)
    parts = _split(data)
    if dice.random() < 0.5 or len(parts) < 2:
        return bytes(atheris.Mutate(data, max_size))
    at = dice.randrange(1, len(parts))
    match dice.randrange(5):
        case 0:
            parts.insert(dice.randrange(1, len(parts)), parts[at])
        case 1:
            del parts[at]
        case 2:
            parts[at : at + 1] = [parts[at]] * dice.randrange(1, _SPLICES)
        case 3:
            dice.shuffle(parts)
        case _:
            parts[at] = bytes(atheris.Mutate(parts[at], len(parts[at]) + 16))
    return b"".join(parts)[:max_size]


def _split(data: bytes) -> list[bytes]:
    """At each marker; stuffed zeros are data."""
    cuts = [n for n in range(len(data) - 1) if data[n] == 0xFF and data[n + 1] not in (0, 0xFF)]
    edges = sorted({0, *cuts[:2000], len(data)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def main() -> None:
    name, *flags = sys.argv[1:]
    arguments = [sys.argv[0], *flags]
    if name == "jpeg":
        atheris.Setup(arguments, jpeg_target, custom_mutator=mutate_jpeg)
    else:
        atheris.Setup(arguments, wire_target, custom_mutator=mutate_wire)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
