"""The JSON API, which only answers GET. `/api/openapi.json` describes it."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import StreamingResponse

from roommood.aggregator.dashboard import models
from roommood.aggregator.dashboard.archive import Archive
from roommood.aggregator.dashboard.broadcaster import Broadcaster
from roommood.aggregator.dashboard.events import MOST_CLIENTS, Events
from roommood.aggregator.dashboard.snapshot import Room, Snapshot
from roommood.aggregator.terminal.period import parse_duration
from roommood.shared.errors import ConfigError, StoreError

_NAME: Final = "^[a-z0-9][a-z0-9_-]{0,62}$"
_TIME: Final = "^[1-9][0-9]{0,7}[smhdw]$"
_Answers = dict[int | str, dict[str, Any]]

_AWAY: Final[_Answers] = {503: {"model": models.Problem, "description": "Redis is away."}}
_UNKNOWN: Final[_Answers] = {404: {"model": models.Problem, "description": "No such room."}}
_NOT_KEPT: Final[_Answers] = {
    400: {"model": models.Problem, "description": "A time that is not kept, or too many rows."}
}
_FULL: Final[_Answers] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    503: {"model": models.Problem, "description": f"There are {MOST_CLIENTS} clients already."},
}

# nginx does not buffer such an answer, nor does Caddy compress it, and hold it until that pays.
_UNHELD: Final = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",
}

RoomPath = Annotated[str, Path(pattern=_NAME, examples=["kitchen"])]
LastQuery = Annotated[
    str, Query(pattern=_TIME, description="How far back: 1h, 7d.", examples=["1h"])
]
BucketQuery = Annotated[
    str,
    Query(
        pattern=_TIME,
        description="Length of a period: a multiple of 10s (kept 6 h), 1m (7 d) or 1h (400 d).",
        examples=["1m"],
    ),
]


def make_router(broadcaster: Broadcaster, archive: Archive, events: Events) -> APIRouter:
    """Everything under /api."""
    router = APIRouter(prefix="/api")

    @router.get("/rooms", responses=_AWAY, operation_id="rooms")
    def rooms() -> list[models.RoomNow]:
        """All rooms at this moment, by name."""
        return [models.room_now(room) for room in _answering(broadcaster).rooms]

    @router.get("/rooms/{room}", responses=_AWAY | _UNKNOWN, operation_id="room")
    def room(room: RoomPath) -> models.RoomNow:
        """One room at this moment."""
        return models.room_now(_known(_answering(broadcaster), room))

    @router.get(
        "/rooms/{room}/history", responses=_AWAY | _UNKNOWN | _NOT_KEPT, operation_id="history"
    )
    async def history(
        request: Request, room: RoomPath, last: LastQuery = "1h", bucket: BucketQuery = "1m"
    ) -> models.History:
        """A room's past, in buckets."""
        _require_known(request.query_params)
        _known(_answering(broadcaster), room)
        return await _history(archive, room, _duration(last), _duration(bucket))

    @router.get("/health", operation_id="health")
    def health() -> models.Health:
        """Redis, cameras and workers; answers also while Redis is away."""
        return _health(broadcaster.cache.snapshot)

    @router.get("/events", responses=_FULL, response_class=StreamingResponse, operation_id="events")
    async def live() -> StreamingResponse:
        """Server-sent events: `room` with a room at this moment, `redis` as it comes and goes."""
        if events.is_full:
            raise HTTPException(503, f"there are {MOST_CLIENTS} clients already")
        return StreamingResponse(
            _encoded(events.stream()),
            media_type="text/event-stream",
            headers=_UNHELD,
        )

    @router.get("/{path:path}", include_in_schema=False)
    def nothing(path: str) -> None:
        raise HTTPException(404, f"there is no /api/{path}: /api/openapi.json lists what there is")

    return router


def _answering(broadcaster: Broadcaster) -> Snapshot:
    snapshot = broadcaster.cache.snapshot
    if snapshot.away:
        raise HTTPException(503, snapshot.away)
    return snapshot


def _known(snapshot: Snapshot, name: str) -> Room:
    room = snapshot.room(name)
    if room is None:
        raise HTTPException(404, f"no room {name!r}")
    return room


def _require_known(parameters: Iterable[str]) -> None:
    """A misspelt one would be answered by another history than was asked for."""
    unknown = sorted(set(parameters) - {"last", "bucket"})
    if unknown:
        raise HTTPException(400, f"no parameter {unknown[0][:40]!r}: give last and bucket")


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except (ConfigError, OverflowError) as error:
        raise HTTPException(400, str(error)) from error


async def _history(
    archive: Archive, room: str, last: timedelta, bucket: timedelta
) -> models.History:
    try:
        periods = await archive.history(room, last, bucket)
    except ConfigError as error:
        raise HTTPException(400, str(error)) from error
    except StoreError as error:
        raise HTTPException(503, str(error)) from error
    return models.History(
        room=room,
        last_s=round(last.total_seconds()),
        bucket_s=round(bucket.total_seconds()),
        periods=[models.Period.model_validate(period) for period in periods],
    )


def _health(snapshot: Snapshot) -> models.Health:
    return models.Health(
        redis="away" if snapshot.away else "answers",
        why=snapshot.away,
        taken=snapshot.taken,
        warnings=list(snapshot.warnings),
        cameras=list(snapshot.cameras),
        workers=list(snapshot.workers),
    )


async def _encoded(texts: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for text in texts:
        yield text.encode()
