"""Text files as people's editors save them: UTF-8, as which all are read, and what is not."""

import codecs
import io
from pathlib import Path
from typing import Final

_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Raises OSError, and as `decode_text`."""
    return io.StringIO(decode_text(path.read_bytes()), newline=None).read()


def decode_text(data: bytes) -> str:
    """Without the mark that Windows' editors put first. Raises ValueError, which says what to do
    where it is not UTF-8."""
    if data.startswith(_UTF16) or b"\0" in data:
        raise ValueError("it is UTF-16, which Windows calls Unicode, or no text: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} has a letter that is not UTF-8 (ANSI and Latin-1 write umlauts so): "
            "save the file as UTF-8"
        ) from None


def why(error: Exception) -> str:
    """Of a file that could not be read, in a sentence that has named it."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
