"""Settings as people really write them: in odd files, with odd characters."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters.settings import Settings
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.opencast.server import OpencastSimulator
from tests.cli.conftest import PASSWORD, USER, Command
from tests.cli.processes import run

ENGAGE = "MATTERHORN_ENGAGE_HOST"


class Cluster(Simulator):
    """An Elasticsearch without documents."""

    def handle(self, request: Request) -> Response:
        response = Response.json({"version": {"number": "9.0.0"}, "hits": {"hits": []}})
        response.headers["X-Elastic-Product"] = "Elasticsearch"
        return response


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with Cluster() as simulator:
        monkeypatch.setenv("ES_HOST", simulator.url)
        yield simulator


@pytest.mark.parametrize(
    "text",
    [
        "{0}={1}\n",
        "{0}={1}",
        "\ufeff{0}={1}\n",
        "{0}={1}\r\nES_HOST=\r\n",
        "export {0}={1}\n",
        " {0} = {1} \n",
        "{0}='{1}'\n",
        '{0}="{1}"  # a comment\n',
        "# Grüße\n\n{0}={1} # a comment\n",
        "{0}=http://127.0.0.2:1\n{0}={1}\n",
        "what is this\n{0}={1}\n",
        "UNKNOWN=Ärger\n{0}={1}\n",
    ],
)
def test_a_settings_file_may_be_written_in_many_ways(
    harvest: Command, opencast: OpencastSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.delenv(ENGAGE)
    monkeypatch.setenv("UNKNOWN", "")  # put back afterwards, for the file sets it
    file = tmp_path / "my.env"
    file.write_bytes(text.format(ENGAGE, opencast.url).encode())
    result = harvest("--env-file", str(file), "useractions", "-i", "10", "-o", "-")
    assert result.code == 0, result.err
    assert len(result.documents) == 10


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"MATTERHORN_REST_USER=a\nMATTERHORN_REST_PASS=s3cret\0pass\n", "line 2 holds a NUL character"),
        (b'A="b\0c"\n', "line 1 holds a NUL character"),
        ("MATTERHORN_REST_PASS=s3cret-ü\n".encode("latin-1"), "it is no UTF-8"),
        (bytes(range(1, 256)), "it is no UTF-8"),
        (None, "Is a directory"),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_78(
    harvest: Command, tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "my.env"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    for command in (("useractions",), ("query", "top_episodes"), ("dev", "status")):
        result = harvest("--env-file", str(file), *command)
        assert result.code == 78
        assert str(file) in result.err
        assert words in result.err
        assert "s3cret" not in result.err


def test_a_settings_file_that_may_not_be_read_is_78(
    harvest: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my.env"
    file.write_text("A=b\n")

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "read_text", refuse)  # root, who runs tests in containers, may read everything
    result = harvest("--env-file", str(file), "query", "top_episodes")
    assert result.code == 78
    assert f"{file} cannot be read: Permission denied" in result.err


@pytest.mark.parametrize("file", ["/dev/null/.env", "/nowhere/.env", "loop"])
def test_a_settings_file_that_is_not_there_is_78(harvest: Command, tmp_path: Path, file: str) -> None:
    if file == "loop":
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        file = str(tmp_path / "loop")
    result = harvest("--env-file", file, "query", "top_episodes")
    assert result.code == 78
    assert file in result.err


@pytest.mark.parametrize(
    "name",
    [
        *("MATTERHORN_ENGAGE_HOST", "MATTERHORN_REST_USER", "MATTERHORN_REST_PASS", "OPENCAST_TIMEZONE"),
        *("S3_HARVEST_TS_BUCKET", "S3_LAST_ACTION_TS_KEY", "SQS_QUEUE_NAME", "HARVEST_DEAD_LETTERS"),
        *("HARVEST_STATE_DIR", "HARVEST_LOOKBACK", "REDIS_URL", "ES_HOST", "ES_API_KEY", "ES_USER", "ES_PASSWORD"),
        *("ES_CA_CERTS", "LOGGLY_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"),
    ],
)
@pytest.mark.parametrize("value", ["sec\nret", "sec\r\nX-Injected: ret", "sec\x1bret"])
def test_a_line_break_in_a_setting_is_78_and_not_shown(
    harvest: Command, opencast: OpencastSimulator, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    aws = name.startswith("AWS_") or name == "S3_HARVEST_TS_BUCKET"
    if aws:
        monkeypatch.setenv("S3_HARVEST_TS_BUCKET", "bucket")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    output = () if name == "SQS_QUEUE_NAME" else ("-o", "es")
    result = harvest("useractions", *output, env={name: value})
    assert result.code == 78, result.err
    last = result.err.splitlines()[-1]
    assert f"{name} holds a line break or another control character" in last
    assert "sec" not in last
    assert "ret" not in last.replace("SECRET", "")


@pytest.mark.parametrize(
    "name",
    [
        *("MATTERHORN_REST_USER", "MATTERHORN_REST_PASS", "S3_LAST_ACTION_TS_KEY", "SQS_QUEUE_NAME"),
        *("HARVEST_STATE_DIR", "REDIS_URL", "ES_HOST"),
    ],
)
def test_bytes_that_are_no_utf_8_in_a_setting_are_78_and_not_shown(
    harvest: Command, opencast: OpencastSimulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As of a shell that writes Latin-1."""
    value = os.fsdecode("geheim-ä".encode("latin-1"))
    result = harvest("useractions", *(() if name == "SQS_QUEUE_NAME" else ("-o", "es")), env={name: value})
    assert result.code == 78, result.err
    assert f"{name} holds bytes that are no UTF-8" in result.err
    assert "geheim" not in result.err


def test_a_line_break_in_an_option_is_78(harvest: Command, opencast: OpencastSimulator) -> None:
    result = harvest("useractions", "-o", "-", "--user", "a\nb")
    assert result.code == 78
    assert "MATTERHORN_REST_USER holds a line break" in result.err


def test_credentials_may_have_lines() -> None:
    credentials = '{\n "private_key": "x"\n}'
    assert Settings({"FIREBASE_CREDENTIALS": credentials}).get("FIREBASE_CREDENTIALS") == credentials


@pytest.mark.parametrize(("user", "password"), [("jürgen", "geheim-äöü"), ("José", "пароль"), ("a", "🔑-key")])
def test_letters_beyond_ascii_are_sent_to_elasticsearch_as_utf_8(
    harvest: Command, search: Cluster, user: str, password: str
) -> None:
    result = harvest("query", "top_episodes", env={"ES_USER": user, "ES_PASSWORD": password})
    assert result.code == 0, result.err
    wanted = base64.b64encode(f"{user}:{password}".encode()).decode()
    assert {request.headers["authorization"] for request in search.requests} == {f"Basic {wanted}"}


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_bytes_of_another_encoding_are_sent_as_they_are(search: Cluster, locale: str) -> None:
    """An environment is bytes: what a terminal in Latin-1 exported is no UTF-8."""
    password = os.fsdecode("geheim-ü".encode("latin-1"))
    finished = run("query", "top_episodes", environment={"ES_USER": "a", "ES_PASSWORD": password, "LC_ALL": locale})
    assert finished.returncode == 0, finished.stderr
    wanted = base64.b64encode("a:geheim-ü".encode("latin-1")).decode()
    assert {request.headers["authorization"] for request in search.requests} == {f"Basic {wanted}"}


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_letters_beyond_ascii_are_taken_by_opencast(harvest: Command, auth: str) -> None:
    with OpencastSimulator(user="jürgen", password="geheim-äöü", anonymous=False) as simulator:
        environment = {
            ENGAGE: simulator.url,
            "MATTERHORN_REST_USER": "jürgen",
            "MATTERHORN_REST_PASS": "geheim-äöü",
            "OPENCAST_AUTH": auth,
        }
        result = harvest("useractions", "-o", "-", env=environment)
    assert result.code in (0, 77)  # digest is said to be for ASCII alone: refused then, with a sentence
    assert "bug" not in result.err


def test_the_settings_of_these_tests_are_right(harvest: Command, opencast: OpencastSimulator) -> None:
    result = harvest("useractions", "-o", "-", "-i", "10", "--user", USER, "--password", PASSWORD)
    assert result.code == 0


@pytest.mark.parametrize(
    "setting",
    ["DEFAULT_INTERVAL", "HARVEST_LOOKBACK", "HARVEST_LEASE_TTL", "HARVEST_HTTP_TIMEOUT", "HARVEST_RETRY_BUDGET"],
)
def test_a_length_of_time_that_no_calendar_has_is_as_good_as_for_ever(
    harvest: Command, opencast: OpencastSimulator, setting: str
) -> None:
    for _ in range(2):  # what the first run writes down the second has to read
        result = harvest("useractions", "-i", "10", "-o", "-", env={setting: "1e300"})
        assert result.code == 0, result.err


def test_a_time_before_all_others_is_one(harvest: Command, opencast: OpencastSimulator, tmp_path: Path) -> None:
    far = ("-o", str(tmp_path / "all.jsonl"), "-s", "00010101000000")
    assert harvest("useractions", *far, "-e", "00010102000000").code == 0
    assert harvest("useractions", *far).code == 0
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 10
