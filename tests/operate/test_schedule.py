"""Entries for cron, systemd and Kubernetes: what the real checkers say, and what the lines do."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from harvesters.errors import ConfigError
from harvesters.operate.jobs import BY_NAME, JOBS
from harvesters.operate.schedule.crontab import crontab
from harvesters.operate.schedule.entry import Entry, Installation
from harvesters.operate.schedule.every import Every
from harvesters.operate.schedule.kubernetes import cronjobs
from harvesters.operate.schedule.systemd import units
from harvesters.standins.base import StandInMissing
from tests.servers import give_up

ALL = [Entry(job, Every.read(job.every)) for job in JOBS]
CRON = {"PATH": "/usr/bin:/bin", "HOME": "/", "LOGNAME": "harvest", "SHELL": "/bin/sh"}
ECHO = '#!/bin/sh\nfor word in "$@"; do printf "[%s]" "$word"; done\n[ -z "$SAYS" ] || echo "$SAYS"\nexit ${ENDS:-0}\n'


def found(program: str) -> str:
    """The path of a checker; without it the test is skipped, or fails under CI."""
    beside = Path(sys.executable).with_name(program)
    path = str(beside) if beside.exists() else shutil.which(program)
    if path is None:
        give_up(StandInMissing(f"there is no {program} here", "install it, as .ci/run does"))
    return path


def entry(name: str, every: str = "") -> Entry:
    return Entry(BY_NAME[name], Every.read(every or BY_NAME[name].every))


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A directory whose name means something to cron, to a shell and to systemd."""
    directory = tmp_path / "a b%c $HOME 'd'"
    directory.mkdir()
    return directory


@pytest.fixture
def installation(odd: Path, tmp_path: Path) -> Installation:
    """One whose program says what it is called with."""
    program = tmp_path / "in %n blanks" / "python"
    program.parent.mkdir()
    program.write_text(ECHO)
    program.chmod(0o755)
    return Installation((str(program), str(odd / "harvest.py")), odd / ".env", odd / "state")


def do(line: str, tmp_path: Path, host: str = "one", **env: str) -> tuple[int, str, list[str]]:
    """What cron does with a line: exit code, what would be mailed, and how long it sleeps; takes no time."""
    command = re.split(r"(?<!\\)%", line.split(None, 5)[5])[0].replace("\\%", "%")  # what follows is its input
    bin = tmp_path / "bin"
    bin.mkdir(exist_ok=True)
    slept = tmp_path / "slept"
    slept.unlink(missing_ok=True)
    for name, text in (("sleep", f'echo "$1" >>{shlex.quote(str(slept))}'), ("uname", f"echo {host}")):
        (bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin / name).chmod(0o755)
    env = {**CRON, "PATH": f"{bin}:{CRON['PATH']}", **env}
    done = subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, slept.read_text().split()


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[:1] not in "#M"]


class TestCrontab:
    def test_cron_takes_it(self, installation: Installation, tmp_path: Path) -> None:
        path = tmp_path / "crontab"
        path.write_text(crontab(ALL, installation, "ops@example.edu"))
        done = subprocess.run([found("crontab"), "-n", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("name", [job.name for job in JOBS])
    def test_a_line_runs_the_job_whatever_the_paths_hold(
        self, name: str, installation: Installation, tmp_path: Path
    ) -> None:
        [line] = lines(crontab([entry(name)], installation))
        code, output, _ = do(line, tmp_path)
        assert code == 0
        words = [str(installation.command[1]), "--env-file", str(installation.env_file), "--log-level", "ERROR"]
        assert output == "".join(f"[{word}]" for word in [*words, *BY_NAME[name].command])

    def test_it_waits_a_little_the_same_on_a_host_and_on_another_host_another_time(
        self, installation: Installation, tmp_path: Path
    ) -> None:
        [line] = lines(crontab([entry("zoom")], installation))
        waits = [do(line, tmp_path, host)[2] for host in ("one", "one", "two", "three", "four")]
        assert all(len(each) == 1 and 0 <= int(each[0]) < 30 for each in waits)
        assert waits[0] == waits[1]
        assert len({*map(tuple, waits)}) > 1

    def test_what_has_no_lease_runs_once_at_a_time(self, installation: Installation, tmp_path: Path) -> None:
        found("flock")
        [line] = lines(crontab([entry("index")], installation))
        lock = installation.state_dir / "harvest-index.lock"
        lock.parent.mkdir(parents=True)
        with lock.open("w") as held:
            subprocess.run(["flock", "-n", str(held.fileno())], pass_fds=[held.fileno()], check=True)
            assert do(line, tmp_path)[:2] == (75, "")
        assert do(line, tmp_path)[0] == 0
        assert "flock" not in crontab([entry("useractions"), entry("zoom"), entry("firebase-events")], installation)

    def test_a_log_of_its_own_and_one_line_of_mail_when_something_is_wrong(
        self, installation: Installation, odd: Path, tmp_path: Path
    ) -> None:
        logging = Installation(installation.command, None, installation.state_dir, odd)
        [line] = lines(crontab([entry("zoom")], logging))
        assert do(line, tmp_path, SAYS="all well")[:2] == (0, "")
        assert do(line, tmp_path, SAYS="another run", ENDS="75")[:2] == (0, "")
        assert do(line, tmp_path, SAYS="trouble", ENDS="69")[1] == f"zoom ended with 69: see {odd / 'zoom.log'}\n"
        log = (odd / "zoom.log").read_text()
        assert all(word in log for word in ("all well", "another run", "trouble", "[INFO]"))


class TestSystemd:
    def test_systemd_takes_them(self, installation: Installation, tmp_path: Path) -> None:
        for name, text in units(ALL, installation):
            (tmp_path / name).write_text(text)
        paths = sorted(map(str, tmp_path.glob("harvest-*")))
        assert len(paths) == 2 * len(ALL)
        command = [found("systemd-analyze"), "verify", "--man=no", *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, [line for line in done.stderr.splitlines() if "harvest" in line]) == (0, [])

    def test_a_service_runs_the_job_and_75_is_success(self, installation: Installation, odd: Path) -> None:
        texts = dict(units([entry("zoom")], Installation(installation.command, odd / ".env", odd, odd / "logs")))
        service, timer = texts["harvest-zoom.service"], texts["harvest-zoom.timer"]
        assert "SuccessExitStatus=75" in service
        assert "EnvironmentFile" not in service
        assert "in %%n blanks" in service
        assert "a b%%c $$HOME 'd'" in service
        assert "\nStandardError=append:" in service
        assert "OnCalendar=*:0/15\nRandomizedDelaySec=30\n" in timer
        assert "Persistent=true" in timer

    @pytest.mark.parametrize("every", ["1m", "2m", "30m", "1h", "12h", "1d", "7d"])
    def test_calendars_come_as_often_as_they_should(self, every: str) -> None:
        wanted = Every.read(every)
        command = [found("systemd-analyze"), "calendar", "--iterations=3", wanted.calendar]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TZ": "UTC"})
        assert done.returncode == 0, done.stderr
        stamps = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if "elapse" in line or "Iter" in line]
        times = [datetime.strptime(" ".join(stamp.split()[1:3]), "%Y-%m-%d %H:%M:%S") for stamp in stamps]
        assert {(after - before).total_seconds() for before, after in pairwise(times)} == {wanted.seconds}

    def test_a_path_that_systemd_does_not_take_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="quotes"):
            list(units([entry("zoom")], Installation(('/it"s/python', "/x"), None, tmp_path)))


class TestKubernetes:
    def test_kubernetes_takes_them(self, tmp_path: Path) -> None:
        path = tmp_path / "harvest.yaml"
        path.write_text("---\n".join(text for _, text in cronjobs(ALL, "harvest:1.0")))
        done = subprocess.run(
            [found("kubernetes-validate"), "--strict", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "INFO" not in done.stderr

    def test_names_are_those_of_dns_and_nothing_runs_twice_or_as_root(self) -> None:
        for entry_ in ALL:
            [(name, text)] = cronjobs([entry_], "registry.example.edu:5000/harvest:1.0")
            job = yaml.safe_load(text)
            assert job["metadata"]["name"] == name.removesuffix(".yaml")
            assert "_" not in name
            assert len(name) <= 52
            spec = job["spec"]
            assert (spec["schedule"], spec["concurrencyPolicy"]) == (entry_.every.cron, "Forbid")
            assert spec["startingDeadlineSeconds"] == 100
            assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
            pod = spec["jobTemplate"]["spec"]["template"]["spec"]
            assert (pod["restartPolicy"], pod["securityContext"]["runAsNonRoot"]) == ("Never", True)
            [container] = pod["containers"]
            assert container["image"] == "registry.example.edu:5000/harvest:1.0"
            assert container["args"][-len(entry_.job.command) :] == [*entry_.job.command]
            assert container["envFrom"] == [{"secretRef": {"name": "harvest"}}]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


class TestEvery:
    @pytest.mark.parametrize(
        ("text", "cron"),
        [
            ("1m", "* * * * *"),
            ("2m", "*/2 * * * *"),
            ("60m", "0 * * * *"),
            ("120s", "*/2 * * * *"),
            ("6h", "0 */6 * * *"),
            ("24h", "0 4 * * *"),
            ("7d", "0 4 * * 0"),
        ],
    )
    def test_what_cron_can_say(self, text: str, cron: str) -> None:
        assert Every.read(text).cron == cron

    @pytest.mark.parametrize(
        ("text", "nearest"),
        [("7m", "6m"), ("90m", "1h and 2h"), ("30s", "1m"), ("5h", "4h and 6h"), ("2d", "1d"), ("45m", "30m and 1h")],
    )
    def test_what_it_cannot_names_the_nearest(self, text: str, nearest: str) -> None:
        with pytest.raises(ValueError, match=f"can: {nearest}$"):
            Every.read(text)

    @pytest.mark.parametrize("text", ["", "0m", "2", "m", "2 m", "-2m", "1.5h"])
    def test_no_durations(self, text: str) -> None:
        with pytest.raises(ValueError, match="no duration"):
            Every.read(text)
