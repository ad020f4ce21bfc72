"""Large posts are read one after the other, and keep no small one waiting."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import orjson
import pytest

from harvesters.messages.model import Message
from harvesters.web import intake
from harvesters.web.intake import Intake
from harvesters.web.problems import Problem
from tests.messages.chats import log, message


def body(name: str, number: int, **more: Any) -> bytes:
    return orjson.dumps([message(f"{name}{each}", **more) for each in range(number)])


def test_in_turn_and_others_are_read_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    parse = Message.parse

    def parsed(said: Any) -> Message:
        read.append(said["messageId"])
        return parse(said)

    monkeypatch.setattr(Message, "parse", parsed)
    monkeypatch.setattr(intake, "_SLICE", 0.0)

    async def main() -> list[int]:
        desk = Intake()
        bodies = [body("a", 300), body("b", 300), body("c", 2)]
        return [len(drafts) for drafts in await asyncio.gather(*map(desk.messages, bodies))]

    assert asyncio.run(main()) == [300, 300, 2]
    large = [name for name in read if name[0] != "c"]
    assert large == [f"{name}{each}" for name in "ab" for each in range(300)]
    assert read.index("c1") < read.index("a299")


def test_numbers_that_orjson_would_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a small body, and of a large one, which is read in a thread."""
    said = b"[%b]" % b",".join([orjson.dumps(message("x", metadata={"n": 0})).replace(b'"n":0', b'"n":%d' % 10**30)])
    for longest in (10**6, 1):
        monkeypatch.setattr(intake, "_LARGE", longest)
        (draft,) = asyncio.run(Intake().messages(said))
        assert b"1000000000000000000000000000000" in draft.body


def test_a_large_message_keeps_nobody_waiting() -> None:
    """It has no slices, so another thread reads it."""
    threads: list[threading.Thread] = []

    async def main() -> int:
        desk = Intake()
        with pytest.MonkeyPatch.context() as patch:
            parse = Message.parse

            def parsed(said: Any) -> Message:
                threads.append(threading.current_thread())
                return parse(said)

            patch.setattr(Message, "parse", parsed)
            drafts = await desk.messages(body("a", 2, metadata={"text": "x" * 60_000}))
            return len(drafts + await desk.messages(body("b", 400)))

    assert asyncio.run(main()) == 402
    main_thread = threading.main_thread()
    assert [thread is main_thread for thread in threads] == [False] * 2 + [True] * 400


def test_one_that_is_none_refuses_the_messages_and_not_the_logs() -> None:
    said = orjson.loads(body("a", 300))
    del said[280]["userId"]
    with pytest.raises(Problem) as refused:
        asyncio.run(Intake().messages(orjson.dumps(said)))
    assert refused.value.status == 400
    assert [error["index"] for error in refused.value.more["errors"]] == [280]
    logs = [log(str(number)) for number in range(300)]
    del logs[280]["logId"]
    drafts, errors = asyncio.run(Intake().logs(orjson.dumps(logs)))
    assert len(drafts) == 299
    assert [error["index"] for error in errors] == [280]


def test_after_one_that_cannot_be_read_the_next_has_its_turn() -> None:
    async def main() -> int:
        desk = Intake()
        broken = desk.messages(body("a", 300)[:-1])
        refused, drafts = await asyncio.gather(broken, desk.messages(body("b", 300)), return_exceptions=True)
        assert isinstance(refused, Problem)
        assert isinstance(drafts, list)
        return len(drafts)

    assert asyncio.run(main()) == 300
