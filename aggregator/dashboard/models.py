"""What the JSON API answers, typed: `/api/openapi.json` is made of this.

Times are UTC, ISO 8601. What is not known is null, never a guess. Shares are of the expression
shown, 0..1 of the time for which sure faces were seen.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from roommood.aggregator.dashboard import snapshot
from roommood.aggregator.stats.figures import CameraPeriod, Share
from roommood.aggregator.stats.health import CameraHealth, WorkerHealth

Part = Annotated[float, Field(ge=0.0, le=1.0)]
Dominant = Annotated[str | None, BeforeValidator(lambda named: named or None)]
Pleasure = Annotated[float, Field(ge=-1.0, le=1.0)]


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class CameraNow(_Answer):
    """One camera of a room at this moment."""

    camera: str
    people: float | None = Field(description="Faces at once; null: it saw no frame.")
    frames_per_s: float
    age_s: float = Field(description="Age of its newest frame, in seconds.")


class RoomNow(_Answer):
    """A room over about the last 4 s. A silent room has no figures, never old ones."""

    room: str
    silent: bool = Field(description="Whether no frame came in the last 10 s.")
    paused: bool = Field(description="Whether `roommood pause` paused it.")
    quiet: bool = Field(description="Whether its quiet hours close it now.")
    last_seen: datetime = Field(description="When a result last came.")
    people: float | None = Field(description="Faces at once.")
    shares: dict[str, Part] = Field(description="By expression; empty without a sure face.")
    dominant: Dominant = Field(description="The expression shown most; null without a sure face.")
    valence: Pleasure | None = Field(description="Mean pleasure of the expressions, -1..1.")
    sure_share: Part | None
    frames_per_s: float
    captured: datetime | None = Field(description="When the newest frame was taken.")
    age_s: float | None = Field(description="Its age, in seconds.")
    away: str = Field(description='Why nothing is known of it: its Redis node is lost; else "".')
    coverage_last_hour: Part | None = Field(description="Part of the last hour observed.")
    cameras: list[CameraNow]


class Period(_Answer):
    """A room from `start` to `end`; the last one of a history is still under way."""

    room: str
    start: datetime
    end: datetime
    coverage: float = Field(description="Observed time of the best camera / elapsed time, 0..1.")
    people: float | None = Field(description="Faces at once; null without a frame.")
    shares: dict[str, Share] = Field(description="By expression; empty without a sure face.")
    dominant: Dominant = Field(description="The expression shown most; null without a sure face.")
    valence: float | None
    sure_share: float | None
    suppressed_share: float | None
    frames: int
    face_s: float = Field(description="Face time of all cameras, in seconds.")
    cameras: list[CameraPeriod]
    looks: float = Field(description="Independent looks at sure faces behind the shares.")
    uncorrected_share: float
    uncorrected_models: list[str]


class History(_Answer):
    """Consecutive periods, oldest first; those without a frame are there, empty."""

    room: str
    last_s: int
    bucket_s: int
    periods: list[Period]


class RedisState(_Answer):
    """Whether Redis answers the dashboard."""

    redis: Literal["answers", "away"]
    why: str = Field(description='Why it is away, else "".')


class Health(RedisState):
    """Cameras and workers that were heard in the last day."""

    taken: datetime
    warnings: list[str] = Field(
        default_factory=list, description="What is amiss with Redis while it answers."
    )
    cameras: list[CameraHealth]
    workers: list[WorkerHealth]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


def room_now(room: snapshot.Room) -> RoomNow:
    now, known = room.now, room.known
    return RoomNow(
        room=now.room,
        silent=now.silent,
        paused=known.paused,
        quiet=known.is_quiet,
        last_seen=known.last_seen,
        people=now.people,
        shares=dict(now.shares),
        dominant=now.dominant,
        valence=now.valence,
        sure_share=now.sure_share,
        frames_per_s=now.frames_per_s,
        captured=now.captured,
        age_s=now.age_s,
        away=now.away,
        coverage_last_hour=room.coverage,
        cameras=[CameraNow.model_validate(camera) for camera in now.cameras],
    )
