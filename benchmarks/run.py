"""Measure, and print the figures beside their targets: ``python -m benchmarks.run [CASE]`` (``make bench``)."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from benchmarks.cases import CASES, Sizes
from benchmarks.figures import Figure, table

BEGIN, END = (
    "<!-- results: begin (written by `make bench ARGS='--write docs/benchmarks.md'`) -->",
    "<!-- results: end -->",
)


def measure(names: Sequence[str], sizes: Sizes) -> list[Figure]:
    """The figures of the named cases; each is shown on standard error as soon as it is known."""
    figures = []
    for name in names:
        for figure in CASES[name](sizes):
            print(f"{figure.what}: {figure.value:.3f} {figure.unit}", file=sys.stderr, flush=True)
            figures.append(figure)
    return figures


def machine() -> str:
    """What it was measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores} cores ({_model()}), {memory:.0f} GB of memory, Python {platform.python_version()} on {sys.platform}; "
        f"load {os.getloadavg()[0]:.1f} when it began"
    )


def section(figures: Sequence[Figure], sizes: Sizes, where: str) -> str:
    """The figures with what a reader needs to judge them."""
    data = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {where}. Data: made-up actions of about 450 bytes, evenly "
        f"spread over a day, over 100 episodes, from an empty cache; median of {sizes.runs} runs, "
        f"fastest of {sizes.starts} starts."
    )
    return "\n".join([data, "", *table(figures)])


def write(path: Path, text: str) -> None:
    """Replace what is between the markers in the file at `path`.

    Raises:
        ValueError: it has none.
    """
    old = path.read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{path} has no section of results: put {BEGIN} and {END} where it should be")
    path.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", old))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument("case", nargs="?", choices=[*CASES], help="only this one")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this file's section of results")
    options = parser.parse_args(arguments)
    sizes, where = Sizes(), machine()
    figures = measure([options.case] if options.case else [*CASES], sizes)
    if options.json:
        print(orjson.dumps([figure.as_dict() for figure in figures], option=orjson.OPT_INDENT_2).decode())
    else:
        print(section(figures, sizes, where))
    if options.write:
        write(options.write, section(figures, sizes, where))
    return 0 if all(figure.met for figure in figures) else 1


def _model() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
