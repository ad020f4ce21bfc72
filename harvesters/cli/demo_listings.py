"""The demo's market place: listings are posted, found and viewed, and the views change their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import click
import requests

from harvesters.cli.demo_stage import PATIENCE, harvest, ok, say, serving

_LISTINGS = (
    {"id": 1, "title": "Used MacBook Air", "description": "In great condition", "price": 450},
    {"id": 2, "title": "Used MacBook Pro", "description": "Battery is new", "price": 700},
    {"id": 3, "title": "MacBook charger", "description": "Used for a year", "price": 20},
)
_QUERY = "used macbook"
_LIKED, _VIEWERS = 3, 9


def market(environment: Mapping[str, str], free_port: Callable[[], int]) -> None:
    """Show it on the Kafka and the Elasticsearch of `environment`.

    Raises:
        ClickException: it does not go as it has to.
    """
    with serving(environment, "search", free_port()) as (server, url):
        for listing in _LISTINGS:
            say(f"POST /api/v1/listings: {listing['title']}")
            ok(requests.post(f"{url}/api/v1/listings", json=listing, timeout=PATIENCE))
        harvest(environment, "listings", "index")
        before = _search(url)
        title = next(str(listing["title"]) for listing in _LISTINGS if listing["id"] == _LIKED)
        say(f"\n{_VIEWERS} users look at the {title}: GET /listings/{_LIKED}")
        for number in range(_VIEWERS):
            ok(requests.get(f"{url}/listings/{_LIKED}", headers={"X-User-Id": f"user-{number}"}, timeout=PATIENCE))
        server.terminate()  # sends the views that are under way
        if server.wait() != 0:
            raise click.ClickException(f"serve ended with exit code {server.returncode}")
    harvest(environment, "listings", "log")
    harvest(environment, "listings", "count")
    with serving(environment, "search", free_port()) as (_, url):
        after = _search_until(url, lambda titles: titles[0] == title)
    if before[0] == title or after[0] != title:
        raise click.ClickException("the views have not changed the order; please report this")


def _search(url: str) -> list[str]:
    """The titles that are found, best first, as they are shown."""
    return _search_until(url, lambda titles: True)


def _search_until(url: str, found: Callable[[list[str]], bool]) -> list[str]:
    """The same, once they are so: Elasticsearch shows what was written about a second later."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = ok(requests.get(f"{url}/api/v1/search", params={"q": _QUERY}, timeout=PATIENCE)).json()
        titles = [hit["title"] for hit in answer["hits"]]
        if found(titles) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    say(f"\nGET /api/v1/search?q={_QUERY.replace(' ', '+')}")
    for rank, hit in enumerate(answer["hits"], 1):
        say(f"  {rank}. {hit['title']}, {hit['visits']} views")
    return titles
