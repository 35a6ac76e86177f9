"""Every error that roommood raises on purpose.

    RoommoodError
    ├── ConfigError          a setting is unknown, missing or out of range
    │   └── BadName          a room or camera name is not usable
    ├── WireError            bytes from another process are not a message
    │   ├── DecodeError      not decodable, or a field is missing or out of range (keeps the bytes)
    │   ├── VersionMismatch  another wire version (names both)
    │   └── NotYours         the sender's key does not allow it
    ├── PictureError         a picture cannot be used
    │   ├── NotAJpeg         the bytes are not a JPEG
    │   ├── PictureTooLarge  claims more pixels, or holds more bytes, than the limits allow
    │   └── PictureDamaged   a JPEG that does not decode
    ├── SourceError          a camera, stream, file or folder cannot be read
    ├── ModelError           a model file is missing, damaged or of the wrong shape
    ├── StoreError           Redis refused or does not answer
    │   ├── StoreAway        no connection, or none in time: try again later
    │   │   └── ShardAway    the same of a part of a Redis Cluster; the others may answer
    │   ├── KeyDamaged       what one key of Redis holds is not what roommood writes there
    │   ├── StoreRefuses     Redis takes nothing from us for now: rights, read-only, memory, disk
    │   └── SchemaMismatch   Redis holds another version of the key table
    └── and in `deploy`: ComponentEnded, NoRedisServer, RoomStayedEmpty

A library's exception is translated into one of these where it is met; each says
what was wrong, with what value, and what to do about it.
"""

from roommood.shared.protocol.limits import ASKING_VERSION


class RoommoodError(Exception):
    """Base of every error raised on purpose; its text is fit to show to a user."""

    exit_code = 1


class ConfigError(RoommoodError):
    """A setting is unknown, missing or out of range."""

    exit_code = 2


class BadName(ConfigError):
    """A room or camera name is not usable."""


class WireError(RoommoodError):
    """Bytes from another process are not a message."""

    reason = "malformed"


class DecodeError(WireError):
    """Not decodable, or a field is missing or out of range.

    Attributes:
        data: the bytes as they came, for the log of whoever has to find out why.
    """

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class VersionMismatch(WireError):
    """The peer speaks another wire version."""

    reason = "wire-version"

    def __init__(self, theirs: int, ours: int) -> None:
        super().__init__(
            f"wire version {theirs} received, version {ours} spoken here: "
            "install the same roommood release on both machines"
        )
        self.theirs = theirs
        self.ours = ours

    @property
    def only_asks(self) -> bool:
        """True of `wire.question`, which is to be answered and no refused message."""
        return self.theirs == ASKING_VERSION


class NotYours(WireError):
    """A message that the key of its sender does not allow; `reason` is counted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PictureError(RoommoodError):
    """A picture cannot be used. `reason` is the word under which its refusal is counted."""

    reason = "picture"


class NotAJpeg(PictureError):
    """The bytes are not a JPEG."""

    reason = "not-a-jpeg"


class PictureTooLarge(PictureError):
    """A picture claims more pixels, or holds more bytes, than the limits allow."""

    reason = "too-large"


class PictureDamaged(PictureError):
    """A JPEG that does not decode."""

    reason = "damaged"


class SourceError(RoommoodError):
    """A camera, stream, file or folder cannot be read."""


class ModelError(RoommoodError):
    """A model file is missing, damaged or of the wrong shape."""


class StoreError(RoommoodError):
    """Redis refused a command."""


class StoreAway(StoreError):
    """Redis does not answer; what was to be written is still to be written."""


class ShardAway(StoreAway):
    """A part of a Redis Cluster does not answer; other rooms may be elsewhere."""


class KeyDamaged(StoreError):
    """What one key of Redis holds is not what roommood writes there; the others may be well."""


class StoreRefuses(StoreError):
    """Redis answers, but takes nothing from us, whatever the key: wrong password or rights, a
    read-only replica, no memory or disk left. What was to be written is still to be written."""


class SchemaMismatch(StoreError):
    """Redis holds another version of the key table."""
