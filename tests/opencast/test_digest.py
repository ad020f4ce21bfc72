"""One client's digest authentication, in several threads."""

from __future__ import annotations

import re
import threading

from harvesters.opencast.client import OpencastClient
from harvesters.simulators.opencast.server import OpencastSimulator
from tests.clocks import patient


def test_only_the_first_request_of_all_threads_is_refused_and_no_count_is_used_twice() -> None:
    with OpencastSimulator(user="u", password="p", anonymous=False) as opencast:
        client = OpencastClient(opencast.url, "u", "p", "digest", patient())
        client.actions(limit=1)
        threads = [threading.Thread(target=client.actions, kwargs={"limit": 1}) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.actions(limit=1)
        client.close()
    headers = [request.headers.get("authorization", "") for request in opencast.requests]
    assert [header.startswith("Digest") for header in headers] == [False] + [True] * 6
    counts = [re.findall(r"nc=(\w+)", header) for header in headers[1:]]
    assert sorted(counts) == [[f"{number:08x}"] for number in range(1, 7)]
