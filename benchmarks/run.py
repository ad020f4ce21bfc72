"""Measure, and print the figures beside their targets: ``python -m benchmarks.run [NAME …]`` (``make bench``).

A name is a group (`elastic`) or one case of it (`elastic.sink`). Each case has a process of its own, so that what one
leaves in memory neither slows the next down nor counts as its memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from benchmarks import (
    backfill,
    clusters,
    elastic,
    erasure,
    exports,
    firebase,
    guard,
    insights,
    listings,
    logs,
    messages,
    profiles,
    serve,
    useractions,
    views,
    zoom,
)
from benchmarks.figures import Figure, table
from benchmarks.groups import Group, Sizes

GROUPS: dict[str, Group] = {
    "useractions": useractions.GROUP,
    "elastic": elastic.GROUP,
    "clusters": clusters.GROUP,
    "zoom": zoom.GROUP,
    "firebase": firebase.GROUP,
    "insights": insights.GROUP,
    "profiles": profiles.GROUP,
    "serve": serve.GROUP,
    "logs": logs.GROUP,
    "listings": listings.GROUP,
    "views": views.GROUP,
    "backfill": backfill.GROUP,
    "messages": messages.GROUP,
    "exports": exports.GROUP,
    "erasure": erasure.GROUP,
}


def selected(names: Sequence[str]) -> dict[str, list[str]]:
    """Group and cases that `names` stand for; no names are all of them.

    Raises:
        ValueError: there is no such group or case.
    """
    found: dict[str, list[str]] = {}
    for name in names or [*GROUPS]:
        group, _, case = name.partition(".")
        if group not in GROUPS or (case and case not in GROUPS[group].cases):
            known = [*GROUPS, *(f"{group}.{case}" for group in GROUPS for case in GROUPS[group].cases)]
            raise ValueError(f"there is no {name!r}; there are {', '.join(known)}")
        found.setdefault(group, []).extend([case] if case else GROUPS[group].cases)
    return found


def measure(group: str, cases: Sequence[str], sizes: Sizes) -> list[Figure]:
    """The figures of these cases; each is shown on standard error as soon as its case has ended."""
    figures = []
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as processes:
        for case in cases:
            for figure in processes.submit(_case, group, case, sizes).result():
                print(f"{figure.what}: {figure.value:.3f} {figure.unit} {figure.note}", file=sys.stderr, flush=True)
                figures.append(figure)
    return figures


QUIET = 1.5
"""Load of the machine from which on a measurement says more about other programs than about ours."""
_PATIENCE = 300


def machine(load: float) -> str:
    """What it was measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores} cores ({_model()}), {memory:.0f} GB of memory, Python {platform.python_version()} on {sys.platform}; "
        f"load {load:.1f} when it began"
    )


def section(group: str, figures: Sequence[Figure], sizes: Sizes, where: str) -> str:
    """The figures with what a reader needs to judge them."""
    scale = "" if sizes.scale == 1 else f", at a scale of {sizes.scale:g}"
    data = f"Measured {datetime.now(UTC):%Y-%m-%d} on {where}{scale}. Data: {GROUPS[group].data}."
    return "\n".join([data, "", *table(figures)])


def markers(group: str) -> tuple[str, str]:
    """The lines of a page between which the results of `group` stand."""
    written = f"written by `make bench ARGS='{group} --write docs/benchmarks.md'`"
    return f"<!-- {group}: begin ({written}) -->", f"<!-- {group}: end -->"


def write(path: Path, group: str, text: str) -> None:
    """Replace what is between the markers of `group` in the file at `path`.

    Raises:
        ValueError: it has none.
    """
    begin, end = markers(group)
    old = path.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{path} has no section of results: put {begin} and {end} where it should be")
    path.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", old))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 when a figure misses its target, or was to be published and measured on a busy machine."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.run", description="Measure, and print figures beside their targets."
    )
    parser.add_argument("name", nargs="*", help="a group, or a case as GROUP.CASE; default: everything")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of documents")
    parser.add_argument("--runs", type=int, default=3, help="how often each thing is measured; the median counts")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables of whole groups into this file")
    parser.add_argument("--guard", action="store_true", help="only three ratios with wide margins, in seconds")
    options = parser.parse_args(arguments)
    if options.guard:
        figures = [*guard.guarded()]
        print("\n".join(table(figures)))
        return 0 if all(figure.met for figure in figures) else 1
    try:
        names = selected(options.name)
    except ValueError as error:
        parser.error(str(error))
    sizes = Sizes(options.scale, options.runs)
    found = dict(_measured(names, sizes, options.write))
    if options.json:
        shown = {group: [figure.as_dict() for figure in each.figures] for group, each in found.items()}
        print(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n\n".join(each.text for each in found.values()))
    return (
        0
        if all(measured.published for measured in found.values())
        and all(figure.met for each in found.values() for figure in each.figures)
        else 1
    )


@dataclass(frozen=True)
class Measured:
    """The figures of a group, as text too; not `published` when they were to be, and the machine was busy."""

    text: str
    figures: list[Figure]
    published: bool = True


def _measured(names: dict[str, list[str]], sizes: Sizes, page: Path | None) -> Iterator[tuple[str, Measured]]:
    for group, cases in names.items():
        load = quiet() if page is not None else os.getloadavg()[0]
        figures = measure(group, cases, sizes)
        text = section(group, figures, sizes, machine(load))
        whole = page is not None and cases == [*GROUPS[group].cases]
        yield group, Measured(text, figures, page is None or not whole or publish(page, group, text, load))


def quiet(load: Callable[[], tuple[float, ...]] = os.getloadavg, sleep: Callable[[float], None] = time.sleep) -> float:
    """The load of the machine, as soon as it is below `QUIET`, or after five minutes: what ran before fades slowly."""
    for _ in range(_PATIENCE):
        if load()[0] < QUIET:
            break
        sleep(1)
    return load()[0]


def publish(page: Path, group: str, text: str, load: float) -> bool:
    """Write what was measured into `page`; False, and nothing written, when it began on a busy machine."""
    if load < QUIET:
        write(page, group, text)
        return True
    print(f"{group} is not published: it began at a load of {load:.1f}, not below {QUIET}", file=sys.stderr)
    return False


def _case(group: str, case: str, sizes: Sizes) -> list[Figure]:
    return [*GROUPS[group].cases[case](sizes)]


def _model() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
