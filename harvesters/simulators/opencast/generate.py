"""Made-up but believable episodes, workflows and user actions; the same seed always makes the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from harvesters.simulators.opencast.data import ActionRow, Episode, MediaElement, Operation, Segment, Session, Workflow
from harvesters.simulators.opencast.table import millis

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
)
COURSES = (
    "CSCI E-1",
    "Intensive Introduction to Ancient Greek",
    "101",
    "Müller & Söhne: Kaufmannsrechnung",
    "STAT E-109",
)
TITLES = ("Lecture {n}", "Section {n}", "{n}", "Guest lecture {n}: what's “new”?", "Review {n}")
Players = Literal["dce", "paella6", "paella7"]
"""Which player people watch with: DCE's extension of Paella, a stock one up to Paella 6, or Paella 7."""

# What each of them reports, and how often. Only DCE's sends heartbeats, and Paella 7 no footprints either.
KINDS: dict[Players, dict[str, int]] = {
    "dce": {
        "HEARTBEAT": 60,
        "FOOTPRINT": 15,
        "PLAY": 6,
        "PAUSE": 6,
        "SEEK": 5,
        "RESIZE-TO-640x360": 2,
        "paella:button:action;edu.harvard.dce.paella.viewModeTogglePlugin": 2,
        "paella:button:action;es.upv.paella.playbackRatePlugin": 4,
    },
    "paella6": {
        "FOOTPRINT": 75,
        "PLAY": 6,
        "PAUSE": 6,
        "SEEK": 5,
        "RESIZE-TO-640x360": 2,
        "paella:button:action;es.upv.paella.viewModePlugin": 2,
        "paella:button:action;es.upv.paella.playbackRatePlugin": 4,
    },
    "paella7": {
        "PLAY": 35,
        "PAUSE": 30,
        "SEEK": 25,
        "RESIZE-TO-640x360": 2,
        "paella:fullscreenchanged": 2,
        "paella:buttonPress-es.upv.paella.layoutSelector": 2,
        "paella:buttonPress-es.upv.paella.playbackRateButton": 4,
    },
}
LIVE_IDS_FROM = 10**9
_ID_BLOCK = 50  # rows of one application server get ids from one block, so ids do not follow `created`


def make_episodes(count: int, start: datetime, end: datetime, rng: random.Random) -> list[Episode]:
    """`count` episodes, for each way in which real ones differ some.

    One in ten is live, and has no attachments and no extent yet; one in eight has a single attachment, one in seven
    one picture of both sides, one in nine no DCE series id.
    """
    return [_episode(number, start, end, rng) for number in range(1, count + 1)]


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _episode(number: int, start: datetime, end: datetime, rng: random.Random) -> Episode:
    mpid, live = _uuid(rng), number % 10 == 0
    course = number % len(COURSES)
    began = start.replace(minute=0, second=0, microsecond=0) - timedelta(days=rng.randrange(1, 60), hours=number % 12)
    if live:
        began = start + (end - start) / 2
    duration = rng.randrange(600_000, 7_200_000)
    term = ("01", "02", "03")[number % 3]
    series = _uuid(rng) if number % 9 == 0 else f"{began.year}{term}{10000 + course * 1111}"
    attachments = _attachments(mpid, duration, rng, ("mixed",) if number % 7 == 0 else ("presenter", "presentation"))
    return Episode(
        mpid=mpid,
        title=TITLES[number % len(TITLES)].format(n=number),
        duration=duration,
        start=began.astimezone(UTC).replace(microsecond=0),
        series=series,
        series_title=COURSES[course],
        type=("L" if number % 4 else "S") + f"{number % 30:02d}",
        description="" if number % 3 else f"Part {number} of {COURSES[course]}",
        creators=("Harvard Extension School",) if number % 2 else ("A. Author", "B. Author"),
        modified=(began + timedelta(hours=3)).astimezone(UTC).replace(microsecond=0),
        contributors=("C. Contributor",) if number % 3 == 0 else (),
        publishers=("Harvard Extension School",) if number % 2 else (),
        subjects=("Mathematics", "1984")[: number % 3],
        license="CC0" if number % 5 == 0 else "",
        language="eng" if number % 4 else "",
        spatial=str(100 + number) if number % 2 else f"Hall {number}",
        planned=_planned(began, duration) if number % 3 else None,
        segments=() if live else _segments(number, duration),
        extent=-1 if live else None,
        attachments=() if live else attachments[: 1 if number % 8 == 0 else None],
        catalogs=(
            MediaElement(_uuid(rng), "dublincore/episode", f"https://cdn.example.edu/{mpid}/dc.xml", "text/xml"),
        ),
        tracks=_tracks(mpid, duration, live, rng),
        live=live,
    )


def _planned(began: datetime, duration: int) -> tuple[datetime, datetime]:
    start = began.astimezone(UTC).replace(microsecond=0)
    return start, start + timedelta(milliseconds=duration // 1000 * 1000)


def _segments(number: int, duration: int) -> tuple[Segment, ...]:
    """Slides of equal length; on the last one nothing was read, and one in five episodes has a single one."""
    count = 1 if number % 5 == 0 else 6
    length = duration // count
    texts = [f"Slide {place} of part {number}" for place in range(count - 1)] + [""]
    return tuple(Segment(place * length, length, text) for place, text in enumerate(texts))


def _tracks(mpid: str, duration: int, live: bool, rng: random.Random) -> tuple[MediaElement, ...]:
    kinds = ("presenter/delivery", "presentation/delivery")
    return tuple(
        MediaElement(
            id=_uuid(rng),
            type=kind,
            url=f"https://cdn.example.edu/{mpid}/{kind.partition('/')[0]}.mp4",
            mimetype="video/mp4",
            tags=("engage-streaming", "1080p"),
            md5=f"{rng.getrandbits(128):032x}",
            duration=duration,
            live=live,
        )
        for kind in kinds
    )


def _attachments(mpid: str, duration: int, rng: random.Random, sides: tuple[str, ...]) -> tuple[MediaElement, ...]:
    track = _uuid(rng)

    def image(kind: str, name: str, ref: str) -> MediaElement:
        url = f"https://cdn.example.edu/{mpid}/{name}.jpg"
        return MediaElement(_uuid(rng), kind, url, "image/jpeg", ref, ("engage-download",), 0)

    previews = [image(f"{side}/player+preview", f"{side}_player", f"track:{track}") for side in sides]
    slides = []
    for place, second in enumerate(sorted(rng.sample(range(1, duration // 1000), 12))):
        clock = f"T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{rng.randrange(1000)}F1000"
        slides.append(image("presentation/segment+preview", f"slide_{place}", f"track:{track};time={clock}"))
    rng.shuffle(slides)
    return (*previews, *slides)


def make_workflow(number: int, episode: Episode) -> Workflow:
    """The workflow that published `episode`, in the form of Harvard DCE's.

    Of a live one the capture took place and is SKIPPED all the same, then the stream is retracted, and the recording
    published hours later; of any other nothing was captured, and its SKIPPED capture never ended.
    """
    began = episode.start or datetime(2020, 1, 1, tzinfo=UTC)
    ended = began + timedelta(milliseconds=episode.duration or 0)
    template = "DCE-live-publish" if episode.live else "DCE-archive-publish-external"
    steps = _of_a_live_stream(number, began, ended) if episode.live else _of_a_recording(number, ended)
    return Workflow(number, episode.mpid, template, "DCE", operations=tuple(steps), created=began)


def _of_a_live_stream(number: int, began: datetime, ended: datetime) -> Iterator[Operation]:
    yield _step(number, 0, "publish-live", began - timedelta(minutes=15))
    capture = Operation(number * 10 + 1, "capture", "SKIPPED", began, ended, number * 10 + 1, True, 0, (("a", "true"),))
    yield capture
    yield _step(number, 2, "retract-live", ended + timedelta(minutes=2))
    yield Operation(number * 10 + 3, "retract-engage", "SKIPPED", ended + timedelta(minutes=8), job=number * 10 + 3)
    for place, name in enumerate(("publish-engage", "retract-engage", "publish-engage"), 4):
        yield _step(number, place, name, ended + timedelta(hours=place))


def _of_a_recording(number: int, ended: datetime) -> Iterator[Operation]:
    yield Operation(number * 10, "capture", "SKIPPED", ended, None, number * 10, True, 0, (("a", "true"),))
    for place, name in enumerate(("ingest", "retract-engage", "publish-engage"), 1):
        yield _step(number, place, name, ended + timedelta(minutes=10 * place))


def _step(number: int, place: int, name: str, started: datetime) -> Operation:
    job = number * 10 + place
    return Operation(job, name, started=started, completed=started + timedelta(minutes=5), job=job)


class ActionMaker:
    """Makes rows of a fixed crowd of people watching given episodes; a row depends on its number and the seed alone.

    One mpid in twenty has no episode; one session in thirty is a shared ``-omitted-`` one, one in fifty is missing.
    """

    def __init__(self, episodes: Sequence[Episode], people: int, seed: int, players: Players = "dce") -> None:
        rng = random.Random(f"{seed}/people")
        self._kinds, self._weights = list(KINDS[players]), list(KINDS[players].values())
        self.seed = seed
        self._episodes = list(episodes)
        self._orphans = [_uuid(rng) for _ in range(max(1, len(episodes) // 20))]
        self._sessions = [self._session(number, rng) for number in range(1, max(1, people) + 1)]

    def spread(self, count: int, start: datetime, end: datetime) -> Iterator[ActionRow]:
        """`count` rows created between `start` and `end` (exclusive), with ids in interleaved blocks and gaps."""
        rng = random.Random(f"{self.seed}/times")
        since, span = millis(start), max(1, millis(end) - millis(start))
        moments = sorted(since + rng.randrange(span) for _ in range(count))
        nodes = (_Numbers(0), _Numbers(1))
        for moment in moments:
            created = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=moment)
            yield self.row(rng.choice(nodes).next(), created, rng)

    def at_slot(self, slot: int, created: datetime) -> ActionRow:
        """Row number `slot` of a stream that never ends."""
        return self.row(LIVE_IDS_FROM + slot, created, random.Random(f"{self.seed}/{slot}"))

    def row(self, number: int, created: datetime, rng: random.Random) -> ActionRow:
        """One row with that id and time, the rest drawn from `rng`."""
        kind = rng.choices(self._kinds, self._weights)[0]
        episode = None if not self._episodes or rng.random() < 0.05 else rng.choice(self._episodes)
        seconds = (episode.duration or 3_600_000) // 1000 if episode else 3600
        begin = rng.randrange(seconds)
        end = begin + rng.randrange(1, 30) if kind == "FOOTPRINT" else begin
        # No player says of a footprint whether it plays.
        playing = 0 if kind in ("PAUSE", "FOOTPRINT") else 2 if episode and episode.live else 1
        mpid = episode.mpid if episode else rng.choice(self._orphans)
        return ActionRow(number, mpid, rng.choice(self._sessions), begin, end, kind, playing, created)

    def _session(self, number: int, rng: random.Random) -> Session | None:
        if number % 50 == 0:
            return None
        address = f"140.247.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        if number % 5 == 0:
            address = ", ".join((address, f"10.0.{rng.randrange(256)}.5", "172.16.0.9")[: 2 + number % 2])
        session = {"sessionId": f"{rng.getrandbits(64):016x}", "userIp": address, "userAgent": rng.choice(AGENTS)}
        if number % 30 == 0:
            return {"sessionId": "-omitted-", "userId": "-omitted-", "userIp": "-omitted-", "userAgent": AGENTS[0]}
        session["userId"] = "anonymous" if number % 7 == 0 else str(rng.randrange(10_000_000, 99_999_999))
        return session


class _Numbers:
    """Ids of one of two application servers: blocks of fifty in turn, each begun a little late."""

    def __init__(self, node: int) -> None:
        self._next = 1 + node * _ID_BLOCK

    def next(self) -> int:
        number = self._next
        self._next += 1
        if number % _ID_BLOCK == 0:
            self._next += _ID_BLOCK
        return number


class Growth:
    """A stream of rows, `per_minute` evenly spaced on the clock, from `since` on; nothing runs between requests.

    Row ids and contents follow from the slot of time alone, so that a restart goes on as if nothing had happened.
    """

    def __init__(self, maker: ActionMaker, per_minute: int, since: datetime) -> None:
        if per_minute < 1:
            raise ValueError("per_minute must be at least 1")
        self.per_minute = per_minute
        self._maker = maker
        self._next = -(-millis(since) * per_minute // 60_000)

    def until(self, now: datetime) -> list[ActionRow]:
        """The rows that have come since the last call, up to and with `now`; not for two threads at once."""
        last = millis(now) * self.per_minute // 60_000
        rows = []
        for slot in range(self._next, last + 1):
            moment = -(-slot * 60_000 // self.per_minute)
            created = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=moment)
            rows.append(self._maker.at_slot(slot, created))
        self._next = max(self._next, last + 1)
        return rows
