"""The demo's chatbot: messages are posted, counted and exported, with what a platform knows of its users."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import requests

from harvesters.cli.demo_stage import PATIENCE, harvest, ok, say, serving

DAYS = 3
"""Before today, of which the messages are."""

_SHOWN = 6  # rows of the counts


def pilot(environment: Mapping[str, str], messages: Sequence[Mapping[str, Any]], folder: Path, port: int) -> None:
    """Show it on the Elasticsearch, and with the platform, of `environment`; files go to `folder`.

    Raises:
        ClickException: it does not go as it has to.
    """
    with serving(environment, "messages", port) as (_, url):
        say(f"POST /messages: {len(messages)} of them")
        ok(requests.post(f"{url}/messages", json=messages, timeout=PATIENCE))
        _wait_until_found(url, messages)
    counts, array = folder / "counts.csv", folder / "messages.json"
    files = ("-af", str(counts), "-uf", str(folder / "users.csv"), "-mf", str(array))
    harvest(environment, "messages", "export", "--range", f"{DAYS}D", *files)
    for name, count, _ in [*csv.reader(counts.read_text().splitlines())][5 : 5 + _SHOWN]:
        say(f"  {name}: {count}")
    if len(json.loads(array.read_text())) != len(messages):
        raise click.ClickException("the file does not hold each message once; please report this")


def _wait_until_found(url: str, messages: Sequence[Mapping[str, Any]]) -> None:
    """Elasticsearch shows what was written about a second later."""
    first, last = messages[0], messages[-1]
    asked = {"project": first["project"], "fromTime": first["timestamp"], "toTime": last["timestamp"]}
    deadline = time.monotonic() + PATIENCE
    while len(ok(requests.get(f"{url}/messages", params=asked, timeout=PATIENCE)).json()) < len(messages):
        if time.monotonic() > deadline:
            raise click.ClickException("the messages are not found; please report this")
        time.sleep(0.2)
