"""``harvest.py useractions``: what is measured, how, and which target it has.

Other programs may be using the machine. So what is compared is measured in turns within one case, and of several
runs the median counts; of starts, which are compared to nothing and which others can only lengthen, the fastest.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.children import Run, interpreter
from benchmarks.figures import Figure, Target
from benchmarks.groups import Group, Sizes
from benchmarks.world import QUEUE, World, world

FEW, MANY = 20_000, 200_000
SAMPLE = 500  # messages sent one at a time
LATENCY = 0.01
PSEUDONYMS = ("huid", "ip", "proxy*", "useragent")
STARTS = 4  # for each run


def queue(sizes: Sizes) -> Iterator[Figure]:
    """Everything to SQS, against its parts alone and against one message at a time."""
    actions = sizes.of(FEW)
    with world(actions, LATENCY) as servers:
        bodies = servers.directory / "bodies.jsonl"
        servers.useractions(output=bodies)
        servers.useractions()  # so that no measured run is the first
        runs, fetching, sending, single, bare = [], [], [], [], []
        for _ in range(sizes.runs):
            fetching.append(servers.fetch_only())
            sending.append(servers.baseline("send", queue=QUEUE, bodies=str(bodies)))
            runs.append(servers.useractions())
            found = servers.baseline("single", queue=QUEUE, bodies=str(bodies), messages=SAMPLE)
            single.append(found / min(SAMPLE, actions) * actions)
            bare.append(interpreter(servers.environment()))
    total, inner = _seconds(runs), median(run.report["seconds"] for run in runs)
    larger = [max(pair) for pair in zip(fetching, sending, strict=True)]
    speedups = [one / run.seconds for one, run in zip(single, runs, strict=True)]
    overheads = [run.seconds / part for part, run in zip(larger, runs, strict=True)]
    name = f"{actions:,} actions to SQS, {LATENCY * 1000:g} ms a request"
    yield Figure(
        f"{name}: against sending one message at a time",
        median(speedups),
        "×",
        Target(40, at_least=True),
        f"{median(single):.1f} s (scaled from {SAMPLE} messages) to {total:.2f} s",
    )
    yield Figure(
        f"{name}: against the larger of fetching only and sending only",
        median(overheads),
        "×",
        Target(1.3),
        f"fetching {median(fetching):.2f} s, sending {median(sending):.2f} s",
    )
    yield Figure(
        "the same without the interpreter's start",
        (total - median(bare)) / median(larger),
        "×",
        note=f"`python -c pass` takes {median(bare):.2f} s",
    )
    yield Figure("the same, from the run report: without imports and settings", inner / median(larger), "×")


def file(sizes: Sizes) -> Iterator[Figure]:
    """Everything to a file."""
    for actions in (sizes.of(MANY), sizes.of(FEW)):
        with world(actions) as servers:
            output = servers.directory / "actions.jsonl"
            runs = [servers.useractions(output=output) for _ in range(sizes.runs)]
        note = "of the whole process, from its start"
        note += f"; {median(run.report['rows_per_second'] for run in runs):,.0f} /s of the run itself"
        target = Target(15_000, at_least=True) if actions == sizes.of(MANY) else None
        yield Figure(f"{actions:,} actions to a file", actions / _seconds(runs), "/s", target, note)


def pseudonyms(sizes: Sizes) -> Iterator[Figure]:
    """Everything to a file, four fields under pseudonyms, against the same in the clear."""
    actions = sizes.of(MANY)
    keyed = {"HARVEST_PSEUDONYMISE": ",".join(PSEUDONYMS), "HARVEST_PSEUDONYM_KEY": "bench:not-much-of-a-secret"}
    with world(actions) as servers:
        output = servers.directory / "actions.jsonl"
        clear, kept = [], []
        for _ in range(sizes.runs):
            clear.append(servers.useractions(output=output))
            kept.append(servers.useractions(output=output, more=keyed))
    slower = [one.seconds / other.seconds for one, other in zip(kept, clear, strict=True)]
    yield Figure(
        f"{actions:,} actions to a file, {len(PSEUDONYMS)} fields under pseudonyms: against the same in the clear",
        median(slower),
        "×",
        Target(1.15),
        f"{_seconds(kept):.2f} s and {_seconds(clear):.2f} s",
    )


def memory(sizes: Sizes) -> Iterator[Figure]:
    """The most memory that a harvest has at once, for a small and a large window."""
    few, many = sizes.of(FEW), sizes.of(MANY)
    for dialect in ("dce", "stock"):
        for name in ("file", "SQS"):
            peaks = {actions: _peak(actions, dialect, name) for actions in (few, many)}
            large = peaks[many]
            yield Figure(f"peak memory, {many:,} actions, {dialect}, to {name}", large, "MB", Target(120))
            growth = (large / peaks[few] - 1) * 100
            yield Figure(
                f"growth from {few:,} to {many:,} actions, {dialect}, to {name}",
                growth,
                "%",
                Target(15),
                f"from {peaks[few]:.1f} MB",
            )


def start(sizes: Sizes) -> Iterator[Figure]:
    """What a run costs that has nothing to do."""
    starts = sizes.runs * STARTS
    with world(sizes.of(FEW), LATENCY) as servers:
        bare = [interpreter(servers.environment()) for _ in range(starts)]
        helped = [servers.harvest("--help") for _ in range(starts)]
        idle = [_idle(servers) for _ in range(starts + 1)][1:]
    for what, runs, bound, note in (
        ("`harvest.py --help`", helped, 0.2, f"`python -c pass` takes {min(bare):.3f} s"),
        ("a run with nothing to do: S3 checkpoint, SQS, Redis", idle, 0.7, f"{LATENCY * 1000:g} ms a request"),
    ):
        fastest = min(run.seconds for run in runs)
        yield Figure(what, fastest, "s", Target(bound), f"{note}; median {_seconds(runs):.2f} s")


GROUP = Group(
    "made-up actions of about 450 bytes, evenly spread over a day, over 100 episodes, from an empty cache; "
    "of starts the fastest counts",
    {"queue": queue, "file": file, "pseudonyms": pseudonyms, "memory": memory, "start": start},
)


def _peak(actions: int, dialect: str, name: str) -> float:
    with world(actions, dialect=dialect) as servers:
        output: Path | None = servers.directory / "actions.jsonl" if name == "file" else None
        run = servers.useractions(output=output)
        if run.report["delivered"] != actions:
            raise RuntimeError(f"{run.report['delivered']} of {actions} actions were delivered")
        return run.peak


def _idle(servers: World) -> Run:
    key = "last-action-timestamp"
    servers.set_checkpoint(key, datetime.now(UTC) - timedelta(minutes=2))
    run = servers.harvest("useractions", key=key)
    if run.report["rows"] or not run.report["checkpoint"]:
        raise RuntimeError(f"this was no run with nothing to do: {run.report}")
    return run


def _seconds(runs: list[Run]) -> float:
    return median(run.seconds for run in runs)
