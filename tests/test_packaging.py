"""The wheel, as somebody installs it: whatever the scheme, all that the program reads is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
NEEDED = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "harvesters", "index_templates", "queries")
"""What a build reads."""
INSTALL = ("install", "--no-index", "--no-deps", "--ignore-installed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of an earlier build gets in and nothing is left in the checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(source))
    (built,) = target.glob("*.whl")
    return built


def pip(*arguments: str, python: str = "", **environment: str) -> None:
    """Run our pip, for another interpreter where one is named."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command += ["--python", python] if python else []
    done = subprocess.run(
        [*command, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@dataclass
class Installation:
    """A way to call what was installed, from a directory that has nothing to do with it."""

    command: list[str]
    python: str
    directory: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._call([*self.command, *arguments])

    def evaluate(self, expression: str) -> str:
        done = self._call([self.python, "-P", "-c", f"import harvesters; print({expression})"])
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )


def fresh_environment(directory: Path) -> str:
    """The interpreter of a new virtual environment that sees our dependencies, but not our checkout."""
    venv.create(directory, system_site_packages=True, with_pip=False, symlinks=True)
    python = directory / "bin" / "python"
    (site,) = directory.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(python)


def into_a_venv(wheel: Path, tmp_path: Path) -> tuple[list[str], str, dict[str, str]]:
    python = fresh_environment(tmp_path / "venv")
    pip(*INSTALL, str(wheel), python=python)
    return [str(tmp_path / "venv" / "bin" / "harvest")], python, {}


def for_the_user(wheel: Path, tmp_path: Path) -> tuple[list[str], str, dict[str, str]]:
    python = fresh_environment(tmp_path / "venv")
    environment = {"PYTHONUSERBASE": str(tmp_path / "base")}
    pip(*INSTALL, "--user", str(wheel), python=python, **environment)
    return [str(tmp_path / "base" / "bin" / "harvest")], python, environment


def into_a_directory(wheel: Path, tmp_path: Path) -> tuple[list[str], str, dict[str, str]]:
    python = fresh_environment(tmp_path / "venv")
    pip(*INSTALL, "--target", str(tmp_path / "lib"), str(wheel), python=python)
    return [python, "-m", "harvesters"], python, {"PYTHONPATH": str(tmp_path / "lib")}


@pytest.fixture(
    scope="module", params=[into_a_venv, for_the_user, into_a_directory], ids=lambda install: install.__name__
)
def installation(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    tmp_path = tmp_path_factory.mktemp("installed")
    install: Callable[[Path, Path], tuple[list[str], str, dict[str, str]]] = request.param
    command, python, environment = install(wheel, tmp_path)
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return Installation(command, python, directory, {**inherited, **environment})


def test_an_installed_harvester_finds_all_that_it_reads(installation: Installation) -> None:
    assert Path(installation.evaluate("harvesters.__file__")).is_relative_to(installation.directory.parent)

    helped = installation.run("--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "useractions" in helped.stdout

    listed = installation.run("query")
    assert listed.returncode == 0, listed.stderr
    for query in (ROOT / "queries").glob("*.json"):
        assert query.stem in listed.stdout

    names = "sorted(t.name for t in __import__('harvesters.search.templates', fromlist=['read']).read())"
    assert installation.evaluate(names) == str(sorted(path.stem for path in (ROOT / "index_templates").glob("*.json")))


def test_an_installed_harvester_reads_the_env_file_of_its_directory(installation: Installation) -> None:
    (installation.directory / ".env").write_text(
        "MATTERHORN_ENGAGE_HOST=127.0.0.1:1\nMATTERHORN_REST_USER=u\nMATTERHORN_REST_PASS=p\nHARVEST_RETRY_BUDGET=soon\n"
    )
    refused = installation.run("useractions", "--output", "-")
    assert refused.returncode == 78
    assert "HARVEST_RETRY_BUDGET" in refused.stderr


def test_dev_says_that_it_is_not_there_where_the_servers_were_left_out(wheel: Path, tmp_path: Path) -> None:
    # As docker/Dockerfile does it.
    command, python, environment = into_a_directory(wheel, tmp_path)
    for name in ("simulators", "standins"):
        shutil.rmtree(tmp_path / "lib" / "harvesters" / name)
    image = Installation(command, python, tmp_path, {**os.environ, **environment})
    for words in (["dev"], ["dev", "demo"], ["dev", "--help"], ["dev", "simulate", "opencast"]):
        refused = image.run(*words)
        assert (refused.returncode, refused.stdout) == (78, ""), words
        assert "simulators and stand-ins were left out" in refused.stderr
    for words in (["--help"], ["query"], ["useractions", "--help"], ["completion", "bash"]):
        assert image.run(*words).returncode == 0, words


def test_the_wheel_has_types_links_and_nothing_of_the_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert "harvesters/py.typed" in names
    assert "harvesters/standins/java/elasticsearch/EsNode.java" in names
    assert "Project-URL: " in metadata
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"harvesters"}
