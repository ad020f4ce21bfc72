"""The demo's market place: listings are posted, found and viewed, and the views change their order."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec

import click
import requests

from harvesters.cli.demo_stage import harvest, harvesting, say
from harvesters.standins.base import HOST, StandInMissing, free_port

_LISTINGS = (
    {"id": 1, "title": "Used MacBook Air", "description": "In great condition", "price": 450},
    {"id": 2, "title": "Used MacBook Pro", "description": "Battery is new", "price": 700},
    {"id": 3, "title": "MacBook charger", "description": "Used for a year", "price": 20},
)
_QUERY = "used macbook"
_LIKED, _VIEWERS = 3, 9
_PATIENCE = 30.0  # seconds until the server listens


def market(environment: Mapping[str, str]) -> None:
    """Show it on a Kafka of its own, with the Elasticsearch of `environment`; or say why not.

    Raises:
        ClickException: it does not go as it has to.
    """
    from harvesters.standins.kafka import Kafka

    say("\nA market place on Kafka: starting a broker (the first time its jars are fetched with Maven) …")
    if not all(map(find_spec, ("confluent_kafka", "fastapi", "uvicorn"))):
        say("Going on without it: that needs pip install 'harvest[kafka,web]'")
        return
    try:
        kafka = Kafka().start()
    except StandInMissing as missing:
        say(f"Going on without it: {missing}")
        return
    port = free_port()
    with kafka:
        environment = {**environment, **kafka.environment(), "HARVEST_API_RATE": "0"}
        with harvesting(environment, "serve", "--parts", "search", "--port", str(port)) as server:
            _show(environment, server, f"http://{HOST}:{port}")


def _show(environment: Mapping[str, str], server: subprocess.Popen[bytes], url: str) -> None:
    _wait(server, url)
    for listing in _LISTINGS:
        say(f"POST /api/v1/listings: {listing['title']}")
        _ok(requests.post(f"{url}/api/v1/listings", json=listing, timeout=_PATIENCE))
    harvest(environment, "listings", "index")
    before = _search(url)
    title = next(str(listing["title"]) for listing in _LISTINGS if listing["id"] == _LIKED)
    say(f"\n{_VIEWERS} users look at the {title}: GET /listings/{_LIKED}")
    for number in range(_VIEWERS):
        _ok(requests.get(f"{url}/listings/{_LIKED}", headers={"X-User-Id": f"user-{number}"}, timeout=_PATIENCE))
    server.terminate()  # sends the views that are under way
    if server.wait() != 0:
        raise click.ClickException(f"serve ended with exit code {server.returncode}")
    harvest(environment, "listings", "log")
    harvest(environment, "listings", "count")
    port = free_port()
    with harvesting(environment, "serve", "--parts", "search", "--port", str(port)) as again:
        _wait(again, f"http://{HOST}:{port}")
        after = _search(f"http://{HOST}:{port}")
    if before[0] == title or after[0] != title:
        raise click.ClickException("the views have not changed the order; please report this")


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"{url}/health", timeout=_PATIENCE).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise click.ClickException("serve did not start; please report this")


def _search(url: str) -> list[str]:
    """The titles that are found, best first, as they are shown."""
    answer = _ok(requests.get(f"{url}/api/v1/search", params={"q": _QUERY}, timeout=_PATIENCE)).json()
    say(f"\nGET /api/v1/search?q={_QUERY.replace(' ', '+')}")
    for rank, hit in enumerate(answer["hits"], 1):
        say(f"  {rank}. {hit['title']}, {hit['visits']} views")
    return [hit["title"] for hit in answer["hits"]]


def _ok(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        raise click.ClickException(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]}")
    return answer
