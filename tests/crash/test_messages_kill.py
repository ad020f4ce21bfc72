"""SIGKILL of the message service under posts: what was acknowledged is there, once, after clients have tried again."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.messages.chats import Chats, chats_of_a_test, message
from tests.web.conftest import Running, serving, wait_for

CLIENTS = 6
KILLS = 4
POSTS_BETWEEN = 40


@pytest.fixture
def chats(request: pytest.FixtureRequest) -> Iterator[Chats]:
    with chats_of_a_test(request) as found:
        yield found


class Bots:
    """Clients that post messages, and post again whatever was not acknowledged, now and then with another date."""

    def __init__(self) -> None:
        self.url = ""
        self.acknowledged: dict[str, str] = {}
        self.refused: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post, args=[number]) for number in range(CLIENTS)]

    def start(self, url: str) -> None:
        self.url = url
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when each has its last acknowledgement."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _post(self, number: int) -> None:
        chance = random.Random(number)
        count = 0
        while not self._stop.is_set():
            names = [f"{number}-{count}-{each}" for each in range(chance.choice([1, 1, 20]))]
            count += 1
            while not self._is_taken(names, chance):
                pass

    def _is_taken(self, names: list[str], chance: random.Random) -> bool:
        said = [message(name, timestamp=f"2021-01-2{chance.randrange(3)}T10:00:00") for name in names]
        try:
            answer = requests.post(f"{self.url}/messages", json=said, timeout=40)
        except requests.RequestException:
            return False
        if answer.status_code == 201:
            self.acknowledged.update(zip(names, answer.json()["traceIds"], strict=True))
        elif answer.status_code != 503:
            self.refused.append(answer.text)
        return answer.status_code == 201


def test_nothing_acknowledged_is_lost_or_doubled(chats: Chats, tmp_path: Path) -> None:
    bots = Bots()

    def killed(service: Running, after: int) -> None:
        wait_for(lambda: len(bots.acknowledged) >= after)
        service.process.kill()

    settings = {"ES_HOST": chats.url, "HARVEST_API_RATE": "0"}
    try:
        for life in range(KILLS + 1):
            with serving(tmp_path / f"{life}.log", "--parts", "messages", **settings) as service:
                if life == 0:
                    bots.start(service.url)
                bots.url = service.url
                if life < KILLS:
                    killed(service, len(bots.acknowledged) + POSTS_BETWEEN)
                else:
                    bots.stop()
                    assert service.end() == 0
    finally:
        bots.stop()
    assert bots.refused == []
    found = chats.all("message-*")  # each trace id is there once
    assert {source["messageId"]: trace for trace, source in found.items()}.items() >= bots.acknowledged.items()
    assert len({source["messageId"] for source in found.values()}) == len(found)
