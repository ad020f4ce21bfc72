"""``harvest.py schedule``: which jobs, from which settings, and where it goes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.past import Backfills
from tests.cli.processes import ROOT

SECRET = "s3cret-of-the-api"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATTERHORN_ENGAGE_HOST", "matterhorn.example.edu")
    monkeypatch.setenv("MATTERHORN_REST_USER", "user")
    monkeypatch.setenv("MATTERHORN_REST_PASS", SECRET)
    monkeypatch.setenv("SQS_QUEUE_NAME", "actions")


def test_services_that_last(harvest: Command, tmp_path: Path) -> None:
    result = harvest("schedule", "systemd", "worker", "beat", "serve", "--output-dir", str(tmp_path))
    assert result.code == 0
    names = ["harvest-beat.service", "harvest-serve.service", "harvest-worker.service"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    unit = (tmp_path / "harvest-worker.service").read_text()
    assert " --log-level INFO worker\n" in unit
    assert "KillMode=mixed\n" in unit
    assert "Restart=on-failure\n" in unit
    assert "WantedBy=multi-user.target" in unit
    for words in (["crontab", "worker"], ["systemd", "beat=5m"], ["kubernetes", "serve"]):
        assert harvest("schedule", *words).code == 2


@pytest.mark.parametrize("kind", ["crontab", "systemd", "kubernetes"])
def test_without_jobs_it_is_what_the_settings_name_and_no_secret(harvest: Command, settings: None, kind: str) -> None:
    result = harvest("schedule", kind)
    assert result.code == 0
    assert " useractions" in result.out or "- useractions" in result.out
    assert " index" in result.out or "- index" in result.out
    assert "zoom" not in result.out
    assert SECRET not in result.out


def test_without_settings_it_is_all_of_the_five(harvest: Command) -> None:
    lines = [line for line in harvest("schedule", "crontab").out.splitlines() if not line.startswith("#")]
    assert [(line.split(" sleep")[0], line.split("ERROR ")[1]) for line in lines] == [
        ("*/2 * * * *", "useractions"),
        ("*/2 * * * *", "index"),
        ("0 4 * * *", "load_episodes"),
        ("*/15 * * * *", "zoom --live"),
        ("*/5 * * * *", "firebase events"),
    ]


def test_a_line_runs_this_installation(past: Backfills, tmp_path: Path) -> None:
    """As cron has it: no PATH, no profile, another directory."""
    env_file = tmp_path / "settings of 100%.env"
    env_file.write_text(
        f"MATTERHORN_ENGAGE_HOST={past.server.url}\nMATTERHORN_REST_USER=api-user\nMATTERHORN_REST_PASS=api-pass-word\n"
        f"SQS_QUEUE_NAME=-\nHARVEST_STATE_DIR={tmp_path / 'state'}\nREDIS_URL=redis://127.0.0.1:1/0\n"
    )
    result = past.harvest("schedule", "crontab", "useractions=5m", "--env-file", str(env_file), "--mailto", "me@here")
    lines = result.out.splitlines()
    assert lines[1] == 'MAILTO="me@here"'
    command = re.split(r"(?<!\\)%", lines[2].split(None, 5)[5])[0].replace("\\%", "%").partition("; ")[2]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LOGNAME": "x"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(ROOT / "harvest.py") in command
    assert [one for one in past.server.requests if one.path.endswith("actions.json")]


def test_a_run_that_finds_another_one_at_work_says_nothing_that_cron_would_mail(
    past: Backfills, tmp_path: Path
) -> None:
    from harvesters.stores.file import FileBlob
    from harvesters.stores.lease import Lease
    from tests.clocks import FakeClock

    state = Path(os.environ["HARVEST_STATE_DIR"])
    state.mkdir(parents=True)
    with Lease(FileBlob(state / "last-action-timestamp.lease"), FakeClock()):
        result = past.harvest("--log-level", "ERROR", "useractions", "-o", str(tmp_path / "x"))
    assert (result.code, result.err) == (75, "")


def test_files_instead_of_standard_output(harvest: Command, settings: None, tmp_path: Path) -> None:
    for kind, names in {
        "crontab": ["harvest.crontab"],
        "systemd": ["harvest-index.service", "harvest-index.timer"],
        "kubernetes": ["harvest-index.yaml"],
    }.items():
        directory = tmp_path / kind
        result = harvest("schedule", kind, "index", "--output-dir", str(directory))
        assert (result.code, result.out) == (0, "")
        assert sorted(path.name for path in directory.iterdir()) == names


def test_the_lock_is_where_the_runs_have_their_files(harvest: Command, tmp_path: Path) -> None:
    """Two installations must not wait for one another."""
    env_file = tmp_path / "other.env"
    env_file.write_text(f"HARVEST_STATE_DIR={tmp_path / 'other'}\n")
    result = harvest("schedule", "crontab", "index", "--env-file", str(env_file), env={"HARVEST_STATE_DIR": ""})
    assert f" {tmp_path / 'other'}/harvest-index.lock " in result.out


def test_a_directory_that_cannot_be_made(harvest: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = harvest("schedule", "crontab", "index", "--output-dir", str(tmp_path / "file" / "below"))
    assert (result.code, result.out) == (78, "")
    assert "--output-dir" in result.err
    assert "Traceback" not in result.err


def test_kubernetes_warns_where_checkpoints_would_be_lost(harvest: Command, settings: None) -> None:
    assert "S3_HARVEST_TS_BUCKET" in harvest("schedule", "kubernetes").err
    result = harvest("schedule", "kubernetes", env={"S3_HARVEST_TS_BUCKET": "bucket"})
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["crontab", "zoom=7m"], "6m"),
        (["crontab", "zoom=90m"], "1h and 2h"),
        (["systemd", "zoom=7m"], "6m"),
        (["kubernetes", "zoom="], "no duration"),
        (["crontab", "zom"], "'zoom'"),
        (["crontab", "zoom", "zoom=5m"], "twice"),
        (["crontab", "--mailto", 'a"b'], "--mailto"),
        (["crontab", "--mailto", "a\nb"], "--mailto"),
        (["crontab", "--log-dir", "a\nb"], "path"),
        (["kubernetes", "--mailto", "me"], "--mailto"),
        (["at"], "crontab"),
    ],
    ids=str,
)
def test_mistakes(harvest: Command, words: list[str], says: str) -> None:
    result = harvest("schedule", *words)
    assert result.code == 2
    assert says in result.err or words == ["at"]
