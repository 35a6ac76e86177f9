"""The report of a room over a span of time, as `roommood report` writes it, to be saved."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse

from roommood.aggregator.dashboard.archive import MOST_ROWS, Archive
from roommood.aggregator.report.page import RoomReport, page
from roommood.aggregator.stats.calendar import Span, steps, zone_of
from roommood.shared.errors import ConfigError, StoreError
from roommood.shared.protocol.names import parse_room

_HOUR = timedelta(hours=1)


def make_router(archive: Archive) -> APIRouter:
    """One address, which answers GET with a file."""
    router = APIRouter()

    @router.get("/report", include_in_schema=False)
    async def report(
        room: str,
        start: Annotated[datetime, Query(alias="from")],
        end: Annotated[datetime, Query(alias="to")],
        zone: str = "UTC",
    ) -> HTMLResponse:
        try:
            return await _report(archive, parse_room(room), start, end, zone)
        except ConfigError as error:
            raise HTTPException(400, str(error)) from error
        except StoreError as error:
            raise HTTPException(503, str(error)) from error

    return router


async def _report(
    archive: Archive, room: str, start: datetime, end: datetime, zone: str
) -> HTMLResponse:
    if start.tzinfo is None or end.tzinfo is None or start >= end:
        raise ConfigError("from and to are times with their zone, the first before the second")
    if end - start > MOST_ROWS * _HOUR:
        raise ConfigError(f"more than {MOST_ROWS} hours: `roommood report` writes longer ones")
    span, clock = _in_utc(start, end), zone_of(zone)
    (whole,) = await archive.periods(room, [span])
    hours = await archive.periods(room, steps(span, _HOUR, clock))
    html = page([RoomReport(whole, tuple(hours))], span, clock, datetime.now(UTC))
    name = f"{room}-{start.astimezone(clock):%Y-%m-%d}.html"
    return HTMLResponse(html, headers={"content-disposition": f'attachment; filename="{name}"'})


def _in_utc(start: datetime, end: datetime) -> Span:
    try:
        return Span(start.astimezone(UTC), end.astimezone(UTC))
    except OverflowError as error:
        raise ConfigError(f"from or to: {error}") from error
