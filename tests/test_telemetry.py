"""Logs in both formats, redaction at every level, the run report, and Loggly."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import re
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator

import pytest
import requests

from harvesters import telemetry
from harvesters.errors import Exit
from harvesters.privacy import protect
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.telemetry import (
    Report,
    configure,
    log_report,
    log_what_nobody_catches,
    ship_to_loggly,
    stop_shipping,
)

log = logging.getLogger("harvesters.test")


@pytest.fixture(autouse=True)
def restore_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    for owner, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def one_line(style: str, level: str = "DEBUG") -> io.StringIO:
    stream = io.StringIO()
    configure(level, style, stream)
    return stream


class TestFormats:
    def test_text_is_time_level_and_message(self) -> None:
        stream = one_line("text")
        log.warning("%d rows", 3)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ WARNING 3 rows\n", stream.getvalue())

    def test_json_is_one_object_a_line_with_the_records_own_fields(self) -> None:
        stream = one_line("json")
        log.info("three\nlines\n", extra={"fields": {"rows": 3, "window": {"start": "a"}}})
        assert stream.getvalue().count("\n") == 1
        entry = json.loads(stream.getvalue())
        assert entry.pop("time").endswith("Z")
        assert entry == {
            "level": "INFO",
            "logger": "harvesters.test",
            "message": "three\nlines\n",
            "rows": 3,
            "window": {"start": "a"},
        }

    @pytest.mark.parametrize(
        "odd", [{"a": "\ud83d"}, {"a": 2**70}, {"a": object()}, {"a": {"b": b"\xff"}}, {"a": float("nan")}]
    )
    def test_json_takes_what_is_none(self, odd: dict[str, object]) -> None:
        stream = one_line("json")
        log.info("lone \ud83d surrogate", extra={"fields": odd})
        stream.getvalue().encode()
        assert json.loads(stream.getvalue())["level"] == "INFO"

    def test_less_than_the_level_is_not_logged(self) -> None:
        stream = one_line("text", "WARNING")
        log.info("no")
        assert stream.getvalue() == ""

    def test_a_second_configuration_replaces_the_first(self) -> None:
        first, second = one_line("text"), one_line("text")
        log.info("once")
        assert first.getvalue() == ""
        assert second.getvalue().count("once") == 1


class TestRedaction:
    @pytest.mark.parametrize("style", ["text", "json"])
    @pytest.mark.parametrize("secret", ["hush-hush", 'quo"te\\d', "pässwörd", "line\nbreak"])
    def test_no_secret_in_a_message_a_field_or_a_traceback(self, style: str, secret: str) -> None:
        protect([secret])
        stream = one_line(style)
        log.info("the password is %s", secret, extra={"fields": {"where": f"https://u:{secret}@h", "deep": [secret]}})
        try:
            raise ValueError(secret)
        except ValueError:
            log.exception("failed")
        text = stream.getvalue()
        for line in text.splitlines() if style == "json" else []:
            assert secret not in repr(json.loads(line))
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text
        assert "***" in text

    def test_json_stays_json_when_something_in_it_is_masked(self) -> None:
        protect(["message"])  # a secret may be a word that the format itself uses
        stream = one_line("json")
        log.info("sent Authorization: Basic abc", extra={"fields": {"url": "https://h/?auth=x", "n": 1}})
        entry = json.loads(stream.getvalue())
        assert entry["message"] == "sent Authorization: ***"
        assert entry["url"] == "https://h/?auth=***"
        assert entry["n"] == 1

    @pytest.mark.parametrize("name", ["urllib3.connectionpool", "botocore.endpoint", "elastic_transport.node", "boto3"])
    def test_libraries_that_log_whole_requests_never_do_so(self, name: str) -> None:
        stream = one_line("text", "DEBUG")
        logging.getLogger(name).debug("Sending http request: headers {'x-token': 'hush'}")
        logging.getLogger(name).info("body: hush")
        assert stream.getvalue() == ""

    def test_a_bug_is_logged_with_a_masked_traceback(self) -> None:
        protect(["hush-hush"])
        stream = one_line("text")
        log_what_nobody_catches()
        try:
            raise RuntimeError("hush-hush")
        except RuntimeError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        text = stream.getvalue()
        assert "this is a bug" in text
        assert "Traceback" in text
        assert "RuntimeError: ***" in text
        assert "hush-hush" not in text

    @pytest.mark.parametrize("style", ["text", "json"])
    def test_what_ends_a_thread_is_logged_and_masked(self, style: str) -> None:
        protect(["hush-hush"])
        stream = one_line(style)
        log_what_nobody_catches()

        def broken() -> None:
            raise RuntimeError("saw hush-hush")

        thread = threading.Thread(target=broken)
        thread.start()
        thread.join()
        assert "this is a bug" in stream.getvalue()
        assert "RuntimeError: saw ***" in stream.getvalue()
        assert "hush-hush" not in stream.getvalue()

    def test_what_python_cannot_raise_is_logged_and_masked(self) -> None:
        protect(["hush-hush"])
        stream = one_line("text")
        log_what_nobody_catches()

        class Broken:
            def __del__(self) -> None:
                raise RuntimeError("saw hush-hush")

            def __repr__(self) -> str:
                return "holds hush-hush"

        Broken()
        assert "RuntimeError: saw ***" in stream.getvalue()
        assert "hush-hush" not in stream.getvalue()

    def test_warnings_are_logged_and_masked(self) -> None:
        protect(["hush-hush"])
        stream = one_line("text")
        log_what_nobody_catches()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            log_what_nobody_catches()
            warnings.warn("mind hush-hush", RuntimeWarning, stacklevel=1)
        assert "WARNING" in stream.getvalue()
        assert "RuntimeWarning: mind ***" in stream.getvalue()
        assert "hush-hush" not in stream.getvalue()

    @pytest.mark.parametrize("style", ["text", "json"])
    def test_an_answer_that_an_exception_quotes_is_cut(self, style: str) -> None:
        protect(["hunter2-hunter2-hunter2"])
        stream = one_line(style)
        body = "x" * 4_990 + "hunter2-hunter2-hunter2" + "student-4711 " * 10_000
        try:
            raise ValueError(body)
        except ValueError:
            log.exception("it sent %s", body)
        assert len(stream.getvalue()) < 20_000
        assert "more characters)" in stream.getvalue().encode().decode("unicode_escape")
        assert "hunter2" not in stream.getvalue()
        assert "ValueError: xxx" in stream.getvalue()

    def test_ctrl_c_is_no_bug(self) -> None:
        stream = one_line("text")
        log_what_nobody_catches()
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert stream.getvalue().endswith("WARNING interrupted\n")

    @pytest.mark.parametrize("style", ["text", "json"])
    def test_a_line_that_cannot_be_made_costs_one_that_says_so(
        self, style: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        protect(["hush-hush"])
        stream = one_line(style)
        log.info("%d rows of %s", "hush-hush", "hush-hush")
        log.info("next")
        assert "a log line of test_telemetry.py:" in stream.getvalue()
        assert "cannot be written: TypeError" in stream.getvalue()
        assert stream.getvalue().count("next") == 1
        assert "hush-hush" not in stream.getvalue()
        assert capfd.readouterr() == ("", "")

    def test_a_stream_that_takes_nothing_costs_its_lines_alone(self, capfd: pytest.CaptureFixture[str]) -> None:
        full = open("/dev/full", "w", buffering=1)  # noqa: SIM115 - closed below, where that fails too
        configure("INFO", "text", full)
        log.info("the password is hush-hush")
        assert capfd.readouterr() == ("", "")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
        full.close()


class TestRunReport:
    def test_it_is_one_line_in_both_formats(self) -> None:
        fields = {"window": {"start": "a", "end": "b"}, "rows": 3, "seconds": 1.5, "checkpoint": None}
        text, structured = one_line("text"), None
        log_report(Report("useractions", "done", Exit.DONE, fields))
        assert text.getvalue().endswith("INFO useractions done: window=a/b rows=3 seconds=1.5 checkpoint=-\n")
        structured = one_line("json")
        log_report(Report("useractions", "ended with 69", Exit.UNAVAILABLE, fields))
        entry = json.loads(structured.getvalue())
        assert entry["report"] == "useractions"
        assert entry["outcome"] == "ended with 69"
        assert entry["window"] == {"start": "a", "end": "b"}
        assert entry["checkpoint"] is None


class Loggly(Simulator):
    """Takes whatever is posted; may be told to hang."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.go_on.set()
        self.arrived = threading.Event()

    def handle(self, request: Request) -> Response:
        self.arrived.set()
        self.go_on.wait(30)
        return Response.json({"response": "ok"})

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for request in list(self.requests) for line in request.body.decode().splitlines()]


@pytest.fixture
def loggly() -> Iterator[Loggly]:
    with Loggly() as simulator:
        yield simulator
        simulator.go_on.set()


class TestLoggly:
    def test_events_arrive_as_json_under_the_tags_and_none_is_lost_at_the_end(self, loggly: Loggly) -> None:
        one_line("text", "INFO")
        handler = ship_to_loggly(loggly.url + "/", "the-token", "prod, blue")
        for number in range(1200):
            log.info("event %d", number, extra={"fields": {"number": number}})
        handler.close()
        assert [line["number"] for line in loggly.lines()] == list(range(1200))
        assert {request.path for request in loggly.requests} == {"/bulk/the-token/tag/harvest,prod,blue/"}
        assert all(request.headers["content-type"] == "text/plain" for request in loggly.requests)

    def test_a_record_that_cannot_be_formatted_is_none_to_ship(self, loggly: Loggly) -> None:
        one_line("text", "INFO")
        handler = ship_to_loggly(loggly.url, "the-token", "")
        log.info("%d rows", "three")
        log.info("next")
        handler.close()
        assert [line["message"] for line in loggly.lines()] == ["next"]

    def test_requests_and_events_are_no_larger_than_loggly_takes(self, loggly: Loggly) -> None:
        one_line("text", "INFO")
        handler = ship_to_loggly(loggly.url, "the-token", "")
        for _ in range(12):
            log.info("\n".join(["x" * 4_000] * 500))
        handler.close()
        assert sum(len(request.body.splitlines()) for request in loggly.requests) == 12
        assert max(len(request.body) for request in loggly.requests) < 5_000_000
        assert max(len(line) for request in loggly.requests for line in request.body.splitlines()) < 1_000_000

    def test_nothing_is_left_of_a_handler_that_is_closed(self, loggly: Loggly) -> None:
        one_line("text", "INFO")
        handlers = []
        for _ in range(3):
            handler = ship_to_loggly(loggly.url, "the-token", "")
            stop_shipping()
            handlers.append(weakref.ref(handler))
        del handler
        gc.collect()
        assert [handler() for handler in handlers] == [None] * 3

    def test_there_is_never_an_echo(self, loggly: Loggly) -> None:
        one_line("text", "DEBUG")
        logging.getLogger("urllib3").setLevel(logging.DEBUG)  # as if somebody had turned it on
        handler = ship_to_loggly(loggly.url, "the-token", "")
        log.info("once")
        assert loggly.arrived.wait(10)  # shipping that has made records of its own by now
        log.info("twice")
        handler.close()
        assert [line["message"] for line in loggly.lines()] == ["once", "twice"]

    def test_secrets_are_masked_there_too(self, loggly: Loggly) -> None:
        one_line("text", "INFO")
        protect(["hush-hush"])
        handler = ship_to_loggly(loggly.url, "the-token", "")
        log.info("the password is hush-hush")
        handler.close()
        assert loggly.lines()[0]["message"] == "the password is ***"

    def test_a_loggly_that_fails_costs_its_events_and_nothing_else(self, loggly: Loggly) -> None:
        stream = one_line("text", "DEBUG")
        loggly.fail("reset", times=1)
        handler = ship_to_loggly(loggly.url, "the-token", "")
        log.info("dropped")
        handler.close()
        assert "the-token" not in stream.getvalue()
        assert stream.getvalue().count("\n") == 1
        assert not logging.getLogger("urllib3").isEnabledFor(logging.INFO)

    def test_the_run_does_not_wait_for_a_loggly_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        started = threading.Event()
        never = threading.Event()

        def hang(*_: object, **__: object) -> None:
            started.set()
            never.wait(30)
            raise requests.ConnectionError

        monkeypatch.setattr(requests, "post", hang)
        monkeypatch.setattr(telemetry, "_LAST_WORDS", 0.05)
        handler = ship_to_loggly("http://127.0.0.1:1", "the-token", "")
        one_line("text", "INFO")
        logging.getLogger().addHandler(handler)
        log.info("first")
        started.wait(10)
        for _ in range(10_001):
            handler.emit(logging.LogRecord("harvesters", logging.INFO, "", 0, "more than fits", None, None))
        closing = threading.Thread(target=handler.close, daemon=True)
        closing.start()
        closing.join(20)
        assert not closing.is_alive()
        never.set()
        handler._lines.put(None, timeout=20)  # it is not to go on beside the next test
        handler._thread.join(20)
