"""What a harvest is held against: its parts alone, written as plainly as anybody would. One in a process.

``fetch`` reads the pages and decodes them; ``send`` sends bodies with ``send_message_batch``, eight in flight;
``single`` sends them one message at a time; ``lines`` reads a file of JSON lines; ``log_events`` makes log events;
``messages`` reads messages in time order and writes them as one array; ``profiles`` asks for profiles one by one.
Imports and clients are made before the time starts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import orjson


def fetch(url: str, start: str, end: str, batch_size: int = 1000) -> dict[str, Any]:
    """Seconds to read all pages, one at a time."""
    import requests
    from requests.auth import HTTPDigestAuth

    session = requests.Session()
    session.auth = HTTPDigestAuth("user", "password")
    rows, total = 0, 1
    started = time.perf_counter()
    while rows < total:
        params: dict[str, str | int] = {"start": start, "end": end, "limit": batch_size, "offset": rows}
        answer = session.get(f"{url}/usertracking/actions.json", params=params)
        actions = orjson.loads(answer.content)["actions"]
        rows, total = rows + len(actions.get("action", ())), actions["total"]
    return {"seconds": time.perf_counter() - started, "rows": rows}


def firebase(url: str, batch_size: int = 1000) -> dict[str, Any]:
    """Seconds to read all children of a Realtime Database's node, a page at a time."""
    import requests

    session = requests.Session()
    rows, last = 0, ""
    started = time.perf_counter()
    while True:
        params = {"orderBy": '"$key"', "limitToFirst": str(batch_size), "auth": "none"}
        if last:
            params["startAfter"] = orjson.dumps(last).decode()
        page = orjson.loads(session.get(f"{url}/events.json", params=params).content) or {}
        rows += len(page)
        if len(page) < batch_size:
            return {"seconds": time.perf_counter() - started, "rows": rows}
        last = max(page)


def lines(path: str) -> dict[str, Any]:
    """Seconds to read a file of JSON lines, one at a time."""
    count = 0
    started = time.perf_counter()
    with Path(path).open("rb") as file:
        for line in file:
            orjson.loads(line)
            count += 1
    return {"seconds": time.perf_counter() - started, "lines": count}


def log_events(count: int) -> dict[str, Any]:
    """Seconds to write that many log events, one after the other, as anybody would who has not measured it."""
    import json
    import random
    import uuid
    from datetime import UTC, datetime

    countries = ["VI", "EG", "US", "UK", "CN", "CA", "DE", "MX", "FR", "BR"]
    browsers = ["Chrome", "Safari", "IE", "Firefox", "Edge"]
    systems = ["Mac", "Android", "Linux", "IOS", "windows"]
    codes = [501, 100, 200, 201, 303, 411, 403, 406, 507, 208, 426]
    today = datetime.now(UTC).date()

    def one() -> dict[str, Any]:
        hour, minute, second = random.randint(0, 23), random.randint(0, 59), random.randint(0, 59)
        return {
            "logID": str(uuid.uuid4()),
            "eventTime": f"{today.isoformat()}T{hour:02d}:{minute:02d}:{second:02d}",
            "url": f"http://example.com/?url={random.randint(0, 15):03d}",
            "ua_country": countries[random.randint(0, len(countries) - 1)],
            "userId": f"user{random.randint(1, 15):03d}",
            "browser": browsers[random.randint(0, len(browsers) - 1)],
            "ua_os": systems[random.randint(0, len(systems) - 1)],
            "responseCode": codes[random.randint(0, len(codes) - 1)],
            "ttfb": round(random.uniform(0.4, 10.6), 2),
            "location": {"lat": round(random.uniform(-90, 90), 5), "lon": round(random.uniform(-180, 180), 5)},
        }

    started = time.perf_counter()
    with Path("/dev/null").open("w") as nowhere:
        for _ in range(count):
            nowhere.write(json.dumps(one()) + "\n")
    return {"seconds": time.perf_counter() - started, "events": count}


def send(queue: str, bodies: str, in_flight: int = 8) -> dict[str, Any]:
    """Seconds to send the lines of a file, ten a request."""
    import boto3
    from botocore.config import Config

    client = boto3.client("sqs", config=Config(max_pool_connections=in_flight))
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    lines = Path(bodies).read_text().splitlines()

    def deliver(first: int) -> None:
        entries: list[Any] = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(lines[first : first + 10])]
        if client.send_message_batch(QueueUrl=url, Entries=entries).get("Failed"):
            raise RuntimeError("the stub refused a message")

    with ThreadPoolExecutor(in_flight) as pool:
        started = time.perf_counter()
        list(pool.map(deliver, range(0, len(lines), 10)))
        return {"seconds": time.perf_counter() - started, "messages": len(lines)}


def single(queue: str, bodies: str, messages: int) -> dict[str, Any]:
    """Seconds to send the first lines of a file, a message a request."""
    import boto3

    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    with Path(bodies).open() as file:
        lines = [line.rstrip("\n") for line in islice(file, messages)]
    started = time.perf_counter()
    for line in lines:
        client.send_message(QueueUrl=url, MessageBody=line)
    return {"seconds": time.perf_counter() - started, "messages": len(lines)}


def messages(url: str, project: str, path: str, page: int = 1000) -> dict[str, Any]:
    """Seconds to read all messages of a project, a page at a time from a point in time, and to write them indented."""
    import requests

    session = requests.Session()
    sort = [{"timestamp": {"order": "asc", "numeric_type": "date_nanos"}}, {"harvest.id": "asc"}, {"_index": "asc"}]
    count, after = 0, None
    started = time.perf_counter()
    pit = session.post(f"{url}/message-*/_pit?keep_alive=5m").json()["id"]
    body: dict[str, Any] = {
        "size": page,
        "query": {"bool": {"filter": [{"term": {"project.keyword": project}}]}},
        "sort": sort,
        "track_total_hits": False,
    }
    with Path(path).open("wb") as file:
        while True:
            body["pit"] = {"id": pit, "keep_alive": "5m"}
            answer = session.post(f"{url}/_search", json=body | ({"search_after": after} if after else {}))
            found = orjson.loads(answer.content)
            hits = found["hits"]["hits"]
            for hit in hits:
                hit["_source"].pop("harvest", None)
            rows = [hit["_source"] for hit in hits]
            file.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2)[1 : -2 if rows else -1])
            count += len(hits)
            if len(hits) < page:
                break
            file.write(b",")
            pit, after = found["pit_id"], hits[-1]["sort"]
    seconds = time.perf_counter() - started
    session.delete(f"{url}/_pit", json={"id": pit})
    return {"seconds": seconds, "messages": count}


def profiles(url: str, key: str, count: int) -> dict[str, Any]:
    """Seconds to ask for so many profiles, one after the other."""
    import requests

    session = requests.Session()
    session.headers["x-wenet-component-apikey"] = key
    started = time.perf_counter()
    for number in range(1, count + 1):
        session.get(f"{url}/profile_manager/profiles/{number}").raise_for_status()
    return {"seconds": time.perf_counter() - started, "profiles": count}


def main() -> None:
    """Run one and print what it measured."""
    cases: dict[str, Callable[..., dict[str, Any]]] = {
        "fetch": fetch,
        "firebase": firebase,
        "lines": lines,
        "log_events": log_events,
        "messages": messages,
        "profiles": profiles,
        "send": send,
        "single": single,
    }
    print(orjson.dumps(cases[sys.argv[1]](**orjson.loads(sys.argv[2]))).decode())


if __name__ == "__main__":
    main()
