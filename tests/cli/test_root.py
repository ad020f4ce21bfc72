"""The root command: its options, its table of commands, its spellings."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from harvesters import __version__
from harvesters.cli import main
from harvesters.cli.reference import commands
from harvesters.simulators.opencast.server import OpencastSimulator
from tests.cli.conftest import Command
from tests.cli.processes import COMMANDS, GROUPS, run

ROOT = Path(__file__).parent.parent.parent

# What the user's documents show, in their spelling.
SEED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("useractions",): (
        *("-s", "--start", "-e", "--end", "-w", "--wait", "-H", "--engage_host", "-u", "--user", "-p", "--password"),
        *("-o", "--output", "-q", "--queue-name", "-b", "--batch-size", "-i", "--interval"),
        "--disable-start-end-span-check",
    ),
}


def find(path: tuple[str, ...]) -> click.Command:
    command: click.Command = main.cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no command {' '.join(path)}"
        command = found
    return command


@pytest.mark.parametrize("path", SEED, ids=" ".join)
def test_every_command_and_option_of_the_users_documents_is_there(path: tuple[str, ...]) -> None:
    spellings = {option for parameter in find(path).params for option in parameter.opts}
    assert set(SEED[path]) <= spellings


@pytest.mark.parametrize("option", ["--engage_host", "--engage-host"])
@pytest.mark.parametrize("size", ["--batch-size", "--batch_size"])
def test_hyphens_and_underscores_are_the_same(
    harvest: Command, opencast: OpencastSimulator, option: str, size: str
) -> None:
    result = harvest(
        *("useractions", option, opencast.url, size, "5", "-o", "-", "--no_update_last_ts", "-i", "10"),
        env={"MATTERHORN_ENGAGE_HOST": ""},
    )
    assert result.code == 0
    assert len(result.documents) == 10


def test_the_table_of_commands_says_what_the_commands_say() -> None:
    def check(group: click.Command) -> None:
        if not isinstance(group, click.Group):
            return
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command is not None
            if isinstance(group, main.LazyGroup) and name in group.table:
                assert group.table[name][2] == command.get_short_help_str(100)
            check(command)

    check(main.cli)


def test_every_command_has_help_with_an_example(harvest: Command) -> None:
    for path, _ in commands(main.cli):
        result = harvest(*path.split()[1:], "--help")
        assert result.code == 0
        assert "Usage: harvest.py" in result.out
        example = re.search(r"Examples?:\n +(?:\./|echo .*)?harvest\.py (.+)", result.out)
        assert example is not None, f"{path} --help shows no example"
        assert " ".join(path.split()[1:]) in example[0]


def test_help_imports_no_client_library() -> None:
    code = (
        "import sys; from harvesters.cli import main; main.run(['--help']);"
        "print([m for m in ('boto3','requests','redis','elasticsearch','orjson','jwt','celery','sentry_sdk')"
        " if m in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = set(json.loads(finished.stdout.splitlines()[-1].replace("'", '"')))
    assert heavy <= {"orjson"}


def test_version(harvest: Command) -> None:
    assert __version__ in harvest("--version").out


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("useraction",), "useractions"),
        (("user-action",), "useractions"),
        (("setup", "mirgate"), "migrate"),
        (("export", "atendance"), "attendance"),
        (("firebase", "event"), "events"),
        (("dev", "simulate", "opencats"), "opencast"),
        (("dev", "upp"), "up"),
        (("--log-level", "DEBUGG", "query"), "DEBUG"),
        (("query", "--format", "tabel"), "table"),
        (("query", "top-episods"), "top_episodes"),
        (("firebase", "export", "--format", "jsonlines"), "jsonl"),
        (("dev", "simulate", "opencast", "--dialect", "stok"), "stock"),
        (("dev", "up", "--services", "elasticsaerch"), "elasticsearch"),
        (("completion", "bahs"), "bash"),
        (("query", "--formta", "csv"), "--format"),
    ],
)
def test_what_is_mistyped_is_told_what_may_be_meant(harvest: Command, words: tuple[str, ...], meant: str) -> None:
    result = harvest(*words)
    assert result.code == 2
    assert re.search(rf"Did you mean [^?]*{meant}\b", result.err, re.I), result.err
    assert result.out == ""


def test_what_is_like_nothing_gets_no_hint(harvest: Command) -> None:
    assert "Did you mean" not in harvest("xylophone").err
    assert "Did you mean" not in harvest("--log-format", "xylophone", "query").err


def test_every_choice_gives_such_a_hint() -> None:
    for path, command in [*commands(main.cli), ("harvest.py", main.cli)]:
        for parameter in command.params:
            assert type(parameter.type) is not click.Choice, f"{path} {parameter.name}: use harvesters.cli.choices"


@pytest.mark.parametrize(
    "words",
    [
        ("hunter2-secret",),
        ("--log-level", "hunter2-secret", "query"),
        ("useractions", "hunter2-secret"),
        ("query", "--start", "hunter2-secret"),
        ("useractions", "-p", "from-the-line", "from-the-line"),
        ("useractions", "--password=from-the-line", "--batch-size", "from-the-line"),
    ],
)
def test_what_is_wrong_with_the_command_line_is_masked_as_logs_are(words: tuple[str, ...]) -> None:
    finished = run(*words, environment={"MATTERHORN_REST_PASS": "hunter2-secret"})
    assert finished.returncode == 2
    assert "Error: " in finished.stderr
    assert "***" in finished.stderr
    assert "hunter2-secret" not in finished.stderr
    assert "from-the-line" not in finished.stderr


def test_help_reads_the_same_without_docstrings() -> None:
    program = (
        "import json, sys; from click.testing import CliRunner; from harvesters.cli.main import cli\n"
        "told = {words: CliRunner().invoke(cli, [*words.split(), '--help'], prog_name='harvest')\n"
        "        for words in sys.argv[1:]}\n"
        "print(json.dumps({words: (each.exit_code, each.output) for words, each in told.items()}))"
    )

    def helps(optimize: str) -> dict[str, tuple[int, str]]:
        command = [sys.executable, "-c", program, *map(" ".join, [*COMMANDS, *GROUPS])]
        environment = {**os.environ, "PYTHONOPTIMIZE": optimize}
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
        return dict(json.loads(finished.stdout))

    stripped, whole = helps("2"), helps("")
    assert stripped == whole
    assert all(code == 0 and f"Usage: harvest {words}" in told for words, (code, told) in whole.items())


@pytest.mark.parametrize("arguments", [("--log-level", "loud"), ("--log-format", "xml"), ("useraction",), ("--what",)])
def test_usage(harvest: Command, arguments: tuple[str, ...]) -> None:
    result = harvest(*arguments, "useractions")
    assert result.code == 2
    assert "Usage" in result.err


def test_no_command_at_all_shows_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 2
    assert "useractions" in capfd.readouterr().err


class TestEnvFile:
    def test_it_fills_what_the_environment_leaves_open(
        self,
        opencast: OpencastSimulator,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        file = tmp_path / "my.env"
        file.write_text("MATTERHORN_REST_USER=api-user\nMATTERHORN_REST_PASS=wrong\nDEFAULT_INTERVAL=10\n")
        monkeypatch.setenv("MATTERHORN_REST_USER", "")  # empty counts as unset
        monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
        monkeypatch.setenv("DEFAULT_INTERVAL", "")
        assert main.run(["--env-file", str(file), "useractions", "-o", "-"]) == 0
        assert len(capfd.readouterr().out.splitlines()) == 10

    def test_a_missing_one_is_a_configuration_error(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert main.run(["--env-file", str(tmp_path / "none"), "useractions"]) == 78
        assert "--env-file" in capfd.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(harvest: Command, shell: str) -> None:
    assert "_HARVEST_PY_COMPLETE" in harvest("completion", shell).out


def test_a_bug_is_exit_1_with_a_traceback_and_no_secret() -> None:
    code = (
        "from harvesters.cli import main, useractions; from harvesters.privacy import protect\n"
        "def broken(*a, **k): raise RuntimeError('saw hunter2-secret')\n"
        "protect(['hunter2-secret']); main.Settings.read = broken; main.main(['useractions'])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert finished.returncode == 1
    assert "this is a bug" in finished.stderr
    assert "RuntimeError: saw ***" in finished.stderr
    assert "hunter2" not in finished.stderr


@pytest.mark.parametrize(
    ("broken", "words", "code"),
    [
        ("raise RuntimeError('saw hunter2-secret')", "'--workers', '1'", 1),
        ("raise RuntimeError('saw hunter2-secret')", "'--workers', '2'", 1),
        ("t = threading.Thread(target=thread); t.start(); t.join()", "'--workers', '1'", 0),
        ("t = threading.Thread(target=thread); t.start(); t.join()", "'--workers', '2'", 0),
        ("log.info('%d', 'saw hunter2-secret')", "'--workers', '2'", 0),
        ("warnings.warn('RuntimeError: saw hunter2-secret')", "'--workers', '2'", 0),
        ("log.info('RuntimeError: saw hunter2-secret'); raise SystemExit(3)", "'--workers', '2'", 3),
    ],
)
def test_no_process_and_no_thread_shows_a_secret(broken: str, words: str, code: int) -> None:
    program = (
        "import logging, threading, warnings\n"
        "from harvesters.cli import main\nfrom harvesters.indexing import run\n"
        "log = logging.getLogger('harvesters')\n"
        "def thread(): raise RuntimeError('saw hunter2-secret')\n"
        f"def broken(*a, **k): {broken}\n"
        f"run.index_queue = broken; main.main(['--env-file', '/dev/null', 'index', '-q', 'q', {words}])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MATTERHORN_REST_PASS": "hunter2-secret"},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert finished.returncode == code, finished.stderr
    assert "saw ***" in finished.stderr or "a log line of" in finished.stderr
    assert "hunter2" not in finished.stderr + finished.stdout


def test_harvest_py_in_the_checkout_is_the_same_command() -> None:
    finished = subprocess.run(
        [sys.executable, ROOT / "harvest.py", "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in finished.stdout


def test_errors_are_records_of_the_json_log(harvest: Command) -> None:
    result = harvest("--log-format", "json", "useractions", "-o", "-")
    assert result.code == 78
    record = json.loads(result.err.splitlines()[-1])
    assert (record["level"], record["exit_code"]) == ("ERROR", 78)


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_levels_are_coloured_on_a_terminal_unless_no_color_is_set(no_color: str, coloured: bool) -> None:
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "harvesters", "--env-file", os.devnull, "useractions", "-o", "-"]
    subprocess.run(command, env={**os.environ, "NO_COLOR": no_color}, stderr=side, check=False, cwd=ROOT)
    os.close(side)
    shown = os.read(terminal, 4096).decode()
    os.close(terminal)
    assert "ERROR" in shown
    assert ("\x1b[31mERROR\x1b[0m" in shown) is coloured
