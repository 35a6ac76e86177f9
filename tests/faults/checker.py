"""The books of a site against Redis: nothing acknowledged is missing, nothing is there twice.

The ledger is what the processes logged, killed ones included; Redis is asked itself.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.end_to_end.site import Line, acknowledged
from tests.faults.plant import CAMERA, WORKER, FaultSite, Frame, ids
from tests.rows import Outcome

# The second, where a link that breaks brings a frame before the Hello that went ahead of it.
_REFUSALS = ("frame refused", "frame before Hello refused")
_SPANS = ("10s", "1m", "1h")


@dataclass
class Verdict:
    """What the checker found; `notes` names it."""

    acknowledged: int = 0
    counted: int = 0
    lost: int = 0
    doubled: int = 0
    unexplained: int = 0
    notes: list[str] = field(default_factory=list)

    def outcome(self, **fields: object) -> Outcome:
        """As a row's outcome; frames without a counted reason are lost too."""
        notes = "; ".join(self.notes[:5])
        figures = {"lost": self.lost + self.unexplained, "doubled": self.doubled, **fields}
        wrong = "; ".join(note for note in (str(figures.pop("wrong", "")), notes) if note)
        return Outcome(**{**figures, "wrong": wrong})  # type: ignore[arg-type]


def judge(site: FaultSite, *, tracebacks: bool = True) -> Verdict:
    """Compares Redis with the books, once everything that is to end has ended."""
    verdict = Verdict()
    rooms = _rooms(site)
    ledger = acknowledged(site.of(WORKER))
    verdict.acknowledged = len(ledger)
    _judge_ledger(site, rooms, ledger, verdict)
    for room in sorted(set(rooms.values())):
        _judge_sums(site, room, verdict)
    _judge_begun(site, verdict)
    for camera in site.of(CAMERA):
        for line in camera.lines("camera ended"):
            _judge_camera(site, line, verdict)
    if tracebacks:
        verdict.notes += [
            f"a traceback in {component.log.name}"
            for component in site.components
            if "Traceback" in component.log.read_text(errors="replace")
        ]
    return verdict


def _rooms(site: FaultSite) -> dict[str, str]:
    """The room of each camera that was ever ready."""
    ready = (line for camera in site.of(CAMERA) for line in camera.lines("camera ready"))
    return {line["camera"]: line["room"] for line in ready}


def _judge_ledger(
    site: FaultSite, rooms: dict[str, str], ledger: Iterable[Frame], verdict: Verdict
) -> None:
    """Each result that was acknowledged has its bit."""
    frames = sorted(ledger)
    with site.redis.client() as client, client.pipeline(transaction=False) as pipe:
        for camera, boot, seq in frames:
            key = f"roommood:{{{rooms[camera]}}}:seen:{camera}:{boot}:{seq // 4096}"
            pipe.getbit(key, seq % 4096)
        bits = pipe.execute()
    missing = [frame for frame, bit in zip(frames, bits, strict=True) if not bit]
    verdict.lost += len(missing)
    verdict.notes += [f"acknowledged and not in Redis: {frame}" for frame in missing[:3]]


def _judge_sums(site: FaultSite, room: str, verdict: Verdict) -> None:
    """The sums hold as many frames, analysed and repeated, as there are bits, in each length of
    bucket."""
    bits = site.seen_bits(room)
    verdict.counted += bits
    surplus = 0
    for span in _SPANS:
        sums = site.buckets(room, span)
        frames = sum(n for name, n in sums.items() if name.startswith(("frames:", "repeated:")))
        if frames != bits:
            verdict.notes.append(f"{room}, {span}: {frames} frames in the sums, {bits} bits")
        surplus = frames - bits if abs(frames - bits) > abs(surplus) else surplus
    verdict.doubled += max(0, surplus)
    verdict.lost += max(0, -surplus)


def _judge_begun(site: FaultSite, verdict: Verdict) -> None:
    """No frame was begun with twice, by whichever worker."""
    begun = Counter(ids(line) for worker in site.of(WORKER) for line in worker.lines("started"))
    twice = [frame for frame, times in begun.items() if times > 1]
    verdict.doubled += len(twice)
    verdict.notes += [f"begun with twice: {frame}" for frame in twice[:3]]


def _judge_camera(site: FaultSite, ended: Line, verdict: Verdict) -> None:
    """Every frame that a camera captured and sent has a count under which it ended.

    Of a frame that was begun with by a worker that was killed the camera may not have heard, and
    then books it as lost with the worker: more reasons than frames are no fault, fewer are.
    """
    camera, boot = ended["camera"], ended["session"]
    if ended["captured"] != ended["sent"] + ended["skipped"] + ended.get("unchanged", 0):
        verdict.notes.append(f"{camera}: captured is not sent + skipped + unchanged: {ended}")
    missing = ended["sent"] - explained(site, camera, boot) - ended["lost_with_worker"]
    if missing > 0:
        verdict.unexplained += missing
        verdict.notes.append(f"{missing} of {ended['sent']} frames of {camera} have no reason")


def explained(site: FaultSite, camera: str, boot: str) -> int:
    """Frames of one boot of a camera that some worker began with, refused or booked as lost."""
    lines = [
        line
        for worker in site.of(WORKER)
        for line in worker.lines()
        if line.get("camera") == camera and line.get("session") == boot
    ]
    met = {ids(line) for line in lines if line["message"] in ("started", "refused")}
    refused = sum(line["message"] in _REFUSALS for line in lines)
    lost = sum(int(line["frames"]) for line in lines if line["message"] == "lost on wire")
    return int(len(met) + refused + lost)
