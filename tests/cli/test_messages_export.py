"""``messages export`` against a simulated platform and a real cluster, byte for byte."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.assembly import Assembly
from harvesters.cli.exporting import bar
from harvesters.errors import Interrupted
from harvesters.messages.exports.array import Array
from harvesters.messages.model import Message
from harvesters.messages.store import MessageStore
from harvesters.settings import Settings
from harvesters.simulators.base import Response
from harvesters.simulators.wenet.server import WenetSimulator
from harvesters.simulators.wenet.world import App, World, cohort, profile, task, transact
from tests.cli.conftest import Command
from tests.nodes import Node

KEY = "platform-key"
APP = "bot"
SPAN = ("-s", "2021-07-01", "-e", "2021-07-03")
SHEETS = {"-af": "counts.csv", "-qf": "questions.tsv", "-uf": "users.csv"}
FILES = {**SHEETS, "-tf": "tasks.json", "-mf": "messages.json"}


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def message(number: int, kind: str = "request", user: Any = "1", **fields: Any) -> dict[str, Any]:
    """As `GET /message` gives it."""
    made = {
        "messageId": f"m{number}",
        "conversationId": None,
        "channel": "telegram",
        "userId": user,
        "timestamp": (datetime(2021, 7, 1) + timedelta(minutes=number)).isoformat(),
        "content": {"type": "text", "value": "hi"} | ({} if kind == "request" else {"buttons": []}),
        "metadata": None,
        "project": APP,
        "type": kind,
        **fields,
    }
    if kind == "request":
        made |= {"domain": None, "intent": None, "entities": [], "language": None} | fields
    return {**made, "responseTo": None} if kind == "response" else made


class Chat(Node):
    """The cluster, with messages that a test puts there."""

    def post(self, messages: Iterable[dict[str, Any]]) -> None:
        client = self.client()
        MessageStore(client).post([Message.parse(one) for one in messages])
        client.close()
        self.ask("POST", "/message-*/_refresh")

    def post_as_before(self, index: str, messages: Iterable[dict[str, Any]]) -> None:
        """Into an index that dynamic mapping makes, each under an id that the cluster makes up."""
        lines = [b'{"index":{}}\n%b\n' % json.dumps(one).encode() for one in messages]
        client = self.client()
        answer = client.attempt("POST", f"/{index}/_bulk", b"".join(lines), params={"refresh": "true"}, lines=True)
        client.close()
        assert not answer.body["errors"]

    def clear(self) -> None:
        for index in self.ask("GET", "/_resolve/index/message-*")["indices"]:
            self.ask("DELETE", f"/{index['name']}")
        self.ask("DELETE", "/_index_template/messages", accept=(404,))


@pytest.fixture
def chat(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    found = Chat(elasticsearch_url)
    found.clear()
    monkeypatch.setenv("ES_HOST", elasticsearch_url)
    yield found
    found.clear()


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[WenetSimulator]:
    world = World()
    world.add(
        App(APP, "Ask for help", {"1": second("2021-07-01"), "2": second("2021-07-02"), "3": second("2021-07-03")}),
        App("ilog", "i-Log", {"1": 5}),
        App("survey", "Survey", {"2": 5}),
    )
    world.profiles = {
        "1": profile("1", "Ada", "Lovelace, Lady", gender="F", email="ada@example.org"),
        "2": profile("2", "Zoë", gender="not-say"),
    }
    world.cohorts = [cohort("1", APP, 0, 5), cohort("1", APP, 1, 9), cohort("2", "ilog", 1)]
    first = task("t1", APP, "1", '"Perch\\u00e9 :books:?"', second("2021-07-01T10:00"))
    transact(first, "answerTransaction", "2", second("2021-07-01T11:00"), {"answer": '"S\\u00ec"'})
    transact(first, "bestAnswerTransaction", "1", second("2021-07-01T12:00"), {"transactionId": "1", "reason": "ok"})
    open_one = task("t2", APP, "1", "Who?\tMe", second("2021-07-02T23:59:59"))
    late = task("t3", APP, "1", "Too late", second("2021-07-03"))
    transact(late, "answerTransaction", "2", second("2021-07-03"), {"answer": "no"})
    world.tasks = [first, open_one, late]
    with WenetSimulator(world, key=KEY) as simulator:
        monkeypatch.setenv("INSTANCE", simulator.url)
        monkeypatch.setenv("APIKEY", KEY)
        monkeypatch.setenv("APP_ID", APP)
        monkeypatch.setenv("ILOG_ID", "ilog")
        monkeypatch.setenv("SURVEY_ID", "survey")
        yield simulator


MESSAGES = [
    message(0, metadata={"question": '"Perch\\u00e9?"', "answer": "12", "other": '"x"'}),
    message(1, user="2", content={"type": "action", "value": "/start"}),
    message(2, "response", metadata={"answer": ":books:"}),
    message(3, "notification", user="3"),
    message(4, intent={"name": "question", "confidence": 5e-05}),
    message(2 * 24 * 60, user="4"),  # of the end of the span, so not in it
    message(5, project="another"),
]


def run(harvest: Command, folder: Path, *options: str, span: tuple[str, ...] = SPAN, **named: Any) -> Any:
    given = [word for option in options for word in (option, str(folder / FILES[option]))]
    return harvest("messages", "export", *given, *span, **named)


def lines(path: Path) -> list[str]:
    return path.read_bytes().decode().split("\r\n")


def paths_asked(simulator: WenetSimulator) -> set[str]:
    return {request.path.split("/")[1] for request in simulator.requests}


def counts(path: Path) -> dict[str, str]:
    rows = [*csv.reader(io.StringIO(path.read_text()))]
    return {row[0]: row[1] for row in rows[rows.index(["metric", "count", "description"]) + 1 :]}


EXPECTED_COUNTS = {
    "total users": "3",
    "active users": "2",
    "engaged users": "1",
    "new users": "3",
    "total messages": "5",
    "messages from users": "3",
    "user textual messages": "2",
    "user action messages": "1",
    "messages from bot": "1",
    "messages from wenet": "1",
    "questions": "2",
    "question reports": "0",
    "can't help": "0",
    "answers": "1",
    "answer reports": "0",
    "approved answers": "1",
    "ask more people": "0",
}


def test_every_file(harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path) -> None:
    chat.post(MESSAGES)
    result = run(harvest, tmp_path, *FILES, env={"MESSAGES_TIMEZONE": "Europe/Rome"}, span=("-r", "ALL"))
    assert result.code == 0
    result = run(harvest, tmp_path, *FILES)
    assert result.code == 0
    head = ["app id,bot", "from,2021-07-01 00:00:00", "to,2021-07-03 00:00:00"]
    assert lines(tmp_path / "counts.csv")[:5] == [*head, "", "metric,count,description"]
    assert counts(tmp_path / "counts.csv") == EXPECTED_COUNTS
    assert lines(tmp_path / "questions.tsv") == [
        *(row.replace(",", "\t") for row in head),
        *("total questions\t2", "", "question\tanswer", "Perché 📚?\tSì", '"Who?\tMe"\t', ""),
    ]
    assert lines(tmp_path / "users.csv") == [
        *head,
        "total users,2",
        "",
        "name,surname,email,gender,incentive cohort,ilog,survey,questions,answers,first activity,last activity",
        'Ada,"Lovelace, Lady",ada@example.org,female,incentives and badges,yes,no,2,0,'
        "2021-07-01 00:00:00,2021-07-01 00:04:00",
        "Zoë,,,not_say,,no,yes,0,1,2021-07-01 00:01:00,2021-07-01 00:01:00",
        "",
    ]
    expected = json.loads(json.dumps(MESSAGES[:5]))
    expected[0]["metadata"] = {"question": "Perché?", "answer": "12", "other": '"x"'}
    expected[2]["metadata"] = {"answer": "📚"}
    parsed = [Message.parse(one).out() for one in expected]
    text = (tmp_path / "messages.json").read_bytes().decode()
    assert text == json.dumps(parsed, ensure_ascii=False, indent=2)
    tasks = (tmp_path / "tasks.json").read_bytes().decode()
    assert tasks == json.dumps(json.loads(tasks), ensure_ascii=False, indent=2)
    assert [one["goal"]["name"] for one in json.loads(tasks)] == ["Perché 📚?", "Who?\tMe"]


@pytest.mark.parametrize(
    ("option", "asked"),
    [
        ("-af", {"task_manager"}),
        ("-qf", {"task_manager"}),
        ("-tf", {"task_manager"}),
        ("-mf", set()),
        ("-uf", {"hub", "task_manager", "profile_manager", "incentive_server"}),
    ],
)
def test_a_file_asks_for_what_it_needs_alone(
    harvest: Command,
    chat: Chat,
    platform: WenetSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    asked: set[str],
) -> None:
    chat.post(MESSAGES)
    if option in ("-qf", "-tf"):
        monkeypatch.setenv("ES_HOST", "http://127.0.0.1:1")
    if option != "-uf":
        monkeypatch.delenv("ILOG_ID")
        monkeypatch.delenv("SURVEY_ID")
    if option == "-mf":
        monkeypatch.delenv("INSTANCE")
        monkeypatch.delenv("APIKEY")
    assert run(harvest, tmp_path, option).code == 0
    assert paths_asked(platform) == asked
    assert (tmp_path / FILES[option]).exists()
    if option == "-af":
        assert counts(tmp_path / "counts.csv") == EXPECTED_COUNTS


def test_dates_are_those_of_the_zone(harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path) -> None:
    chat.post([message(0, timestamp="2021-06-30T22:00:00.000005+00:00"), message(1, timestamp="2021-06-30T21:59:59")])
    assert run(harvest, tmp_path, "-uf", "-mf", env={"MESSAGES_TIMEZONE": "Europe/Rome"}).code == 0
    found = lines(tmp_path / "users.csv")
    assert found[1:3] == ["from,2021-07-01 00:00:00", "to,2021-07-03 00:00:00"]
    assert found[6].endswith(",2021-07-01 00:00:00.000005,2021-07-01 00:00:00.000005")
    said = json.loads((tmp_path / "messages.json").read_text())
    assert [one["timestamp"] for one in said] == ["2021-06-30T22:00:00.000005+00:00"], "JSON is as it was posted"


def test_all_of_the_time_has_no_beginning(
    harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path
) -> None:
    chat.post(MESSAGES)
    assert run(harvest, tmp_path, *FILES, span=("--range", "all")).code == 0
    assert lines(tmp_path / "counts.csv")[1] == "from,"
    assert len(json.loads((tmp_path / "messages.json").read_text())) == 6
    assert counts(tmp_path / "counts.csv")["total messages"] == "6"
    assert lines(tmp_path / "users.csv")[3] == "total users,3"


def test_nothing_there_is_empty_files(harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path) -> None:
    span = ("-s", "2020-01-01", "-e", "2020-01-01")
    assert run(harvest, tmp_path, *FILES, span=span).code == 0
    assert (tmp_path / "messages.json").read_bytes() == b"[]"
    assert (tmp_path / "tasks.json").read_bytes() == b"[]"
    assert set(counts(tmp_path / "counts.csv").values()) == {"0"}
    assert lines(tmp_path / "users.csv")[3] == "total users,0"


def test_many_messages_of_one_timestamp_are_each_there_once(
    harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path
) -> None:
    chat.post(message(number, timestamp="2021-07-01T12:00:00", user=str(number % 7)) for number in range(20_000))
    assert run(harvest, tmp_path, "-mf", "-af").code == 0
    ids = [one["messageId"] for one in json.loads((tmp_path / "messages.json").read_text())]
    assert len(ids) == 20_000
    assert len(set(ids)) == 20_000
    assert counts(tmp_path / "counts.csv")["total messages"] == "20000"


def test_what_older_indices_hold_twice_counts_once(
    harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path
) -> None:
    old = [message(number, user=5) for number in (10, 10, 11)] + [message(12, "notification", user="5")]
    chat.post_as_before("message-2021-07-01", old)
    chat.post_as_before("message-bot-2021-07-02", [message(1500), message(10, user="5")])
    chat.post(MESSAGES)
    assert run(harvest, tmp_path, "-af").code == 0
    alone = counts(tmp_path / "counts.csv")
    assert run(harvest, tmp_path, "-af", "-mf").code == 0
    assert counts(tmp_path / "counts.csv") == alone
    assert alone["total messages"] == "9"
    said = json.loads((tmp_path / "messages.json").read_text())
    assert len(said) == 9
    assert [one["timestamp"] for one in said] == sorted(one["timestamp"] for one in said)


def test_a_count_agrees_with_the_file_though_messages_arrive(
    harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.post(MESSAGES)
    before = MessageStore.between

    def between(self: MessageStore, *arguments: Any) -> Iterator[dict[str, Any]]:
        yield from before(self, *arguments)
        chat.post([message(7)])

    monkeypatch.setattr(MessageStore, "between", between)
    assert run(harvest, tmp_path, "-mf", "-af").code == 0
    assert len(json.loads((tmp_path / "messages.json").read_text())) == 5
    assert counts(tmp_path / "counts.csv")["total messages"] == "5"


def test_a_profile_that_is_gone_leaves_what_others_know(
    harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path
) -> None:
    chat.post(MESSAGES)
    del platform.world.profiles["1"]
    result = run(harvest, tmp_path, "-uf")
    assert result.code == 0
    gone = lines(tmp_path / "users.csv")[6]
    assert gone == ",,,,incentives and badges,yes,no,2,0,2021-07-01 00:00:00,2021-07-01 00:04:00"
    assert "1 profiles are gone" in result.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (SPAN, "no file is named"),
        (("-mf", "messages.txt", *SPAN), "MESSAGE_FILE"),
        (("-tf", "tasks.csv", *SPAN), "TASK_FILE"),
        (("-af", "counts.json", *SPAN), "ANALYTIC_FILE"),
        (("-qf", "questions", *SPAN), "QUESTION_FILE"),
        (("-uf", "users.xls", *SPAN), "USER_FILE"),
        (("-af", "one.csv", "-uf", "./one.csv", *SPAN), "one file"),
        (("-mf", "messages.json"), "no span"),
        (("-mf", "messages.json", "-s", "2021-07-01"), "go together"),
        (("-mf", "messages.json", "-e", "2021-07-01"), "go together"),
        (("-mf", "messages.json", "-r", "7"), "TIME_RANGE"),
        (("-mf", "messages.json", "-s", "2021-07-02", "-e", "2021-07-01"), "after it ends"),
    ],
)
def test_mistakes_end_with_2_before_anything_is_asked_or_written(
    harvest: Command,
    platform: WenetSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ES_HOST", platform.url)
    result = harvest("messages", "export", *options)
    assert result.code == 2
    assert told in result.err
    assert not platform.requests
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


@pytest.mark.parametrize(
    ("option", "missing"),
    [
        *(("-mf", name) for name in ("APP_ID",)),
        *(("-tf", name) for name in ("APP_ID", "INSTANCE", "APIKEY")),
        *(("-uf", name) for name in ("APP_ID", "ILOG_ID", "SURVEY_ID", "INSTANCE", "APIKEY")),
    ],
)
def test_what_a_file_needs_and_nobody_gave_ends_with_78(
    harvest: Command,
    platform: WenetSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    missing: str,
) -> None:
    monkeypatch.setenv("ES_HOST", platform.url)
    monkeypatch.delenv(missing)
    result = run(harvest, tmp_path, option)
    assert result.code == 78
    assert f"{missing} is not set" in result.err
    assert not platform.requests


def test_a_missing_extra_is_named(
    harvest: Command, platform: WenetSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvesters.cli.exporting.find_spec", lambda name: None if name == "emoji" else name)
    result = run(harvest, tmp_path, "-tf")
    assert result.code == 78
    assert "pip install 'harvest[messages]'" in result.err
    assert not platform.requests


@pytest.mark.parametrize(("status", "code"), [(401, 77), (500, 69)])
def test_after_a_failure_all_old_files_stand(
    harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path, status: int, code: int
) -> None:
    chat.post(MESSAGES)
    for name in FILES.values():
        (tmp_path / name).write_text("old")
    platform.fail("status", path="/profile_manager", times=10**6, response=Response(status))
    assert run(harvest, tmp_path, *FILES, env={"HARVEST_RETRY_BUDGET": "0.5"}).code == code
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == dict.fromkeys(
        FILES.values(), "old"
    )


def test_a_full_disk_ends_with_69_and_leaves_the_old_files(
    harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.post(message(number) for number in range(2500))
    path = tmp_path / "messages.json"
    path.write_text("old")
    add, room = Array.add, iter(range(500))

    def until_full(self: Array, element: Any) -> None:
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(self, element)

    monkeypatch.setattr(Array, "add", until_full)
    result = run(harvest, tmp_path, "-mf")
    assert result.code == 69
    assert "Make room" in result.err
    assert "Traceback" not in result.err
    assert path.read_text() == "old"
    assert [one for one in tmp_path.iterdir() if one.is_file()] == [path]


def test_a_run_that_is_told_to_stop_ends_where_it_shows_that_it_goes_on() -> None:
    assembly = Assembly(Settings())
    with bar(assembly) as show:
        show(0.1, "500 messages")
        assembly.stop.set()
        with pytest.raises(Interrupted):
            show(0.2, "1000 messages")


def test_a_mistake_shows_before_messages_are_read(
    harvest: Command, platform: WenetSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ES_HOST", "http://127.0.0.1:1")
    result = run(harvest, tmp_path, "-uf", "-mf", env={"APP_ID": "nobody"})
    assert result.code == 78
    assert "knows no application 'nobody'" in result.err


def test_names_in_the_environment_are_enough(
    harvest: Command, chat: Chat, platform: WenetSimulator, tmp_path: Path
) -> None:
    names = ("ANALYTIC_FILE", "QUESTION_FILE", "USER_FILE", "TASK_FILE", "MESSAGE_FILE")
    files = {name: str(tmp_path / file) for name, file in zip(names, FILES.values(), strict=True)}
    span = {"TIME_RANGE": "never", "START_TIME": "2021-07-01", "END_TIME": "2021-07-03"}
    assert harvest("messages", "export", env={**files, **span}).code == 0
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {*FILES.values()}
