"""Reads a file of metrics as the node exporter's textfile collector does, which skips what is not quite right."""

from __future__ import annotations

import re
from pathlib import Path

_SAMPLE = re.compile(r'([a-z_]+)\{job="([^"]+)"\} (-?[0-9.]+(?:e[+-]?[0-9]+)?)')


def collected(path: Path) -> dict[str, dict[str, float]]:
    """The values of each job; fails where the collector would skip the file, or the scrape would fail."""
    text = path.read_text()
    assert text.endswith("\n")
    found: dict[str, dict[str, float]] = {}
    typed: list[str] = []
    helped: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.append(line.split()[2])
        elif line.startswith("# TYPE "):
            assert line.split()[3] == "gauge"
            typed.append(line.split()[2])
        else:
            match = _SAMPLE.fullmatch(line)  # a timestamp behind it would not match
            assert match is not None, line
            name, job, value = match.groups()
            assert typed[-1] == name, "samples of a name stand together, below their type"
            assert name not in found.setdefault(job, {}), "the same series twice"
            found[job][name] = float(value)
    assert typed == helped
    assert len(typed) == len({*typed})
    return found
