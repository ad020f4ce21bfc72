"""The documents say what the program does: generated parts are current, and nothing is missing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from harvesters.cli import reference
from harvesters.cli.main import cli
from harvesters.errors import Exit
from harvesters.settingtable import SETTINGS
from tests.commandline import examples, parses

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_generated_documents_are_current() -> None:
    assert reference.reference() == REFERENCE, "run make docs"
    assert reference.example_env() == (ROOT / "example.env").read_text(), "run make docs"
    assert reference.answers_reference() == reference.INSIGHTS_PAGE.read_text(), "run make docs"


@pytest.mark.parametrize("path", [path for path, _ in reference.commands(cli)])
def test_every_command_is_in_the_reference(path: str) -> None:
    assert f"#### `{path}`" in REFERENCE


@pytest.mark.parametrize(("path", "command"), list(reference.commands(cli)), ids=lambda value: str(value))
def test_every_option_is_in_the_reference(path: str, command: click.Command) -> None:
    section = REFERENCE.split(f"#### `{path}`")[1].split("####")[0]
    for parameter in command.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("-"):
                assert re.search(rf"{re.escape(option)}\b", section), f"{path} {option}"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_in_the_reference_and_in_example_env(setting: object) -> None:
    name = getattr(setting, "name", "")
    assert f"`{name}`" in REFERENCE
    lines = (ROOT / "example.env").read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith(f"{name}="))
    assert lines[place - 1].startswith("# "), f"{name} has no comment"


def test_every_environment_variable_that_is_read_is_declared() -> None:
    declared = {setting.name for setting in SETTINGS}
    used = set()
    for path in (ROOT / "harvesters").rglob("*.py"):
        used |= set(
            re.findall(
                r"(?<![.\w])settings\.(?:get|require|number|optional_number|timezone|choice)\(\s*\"(\w+)\"",
                path.read_text(),
            )
        )
    assert used
    assert used <= declared


@pytest.mark.parametrize("code", list(Exit), ids=lambda code: code.name)
def test_every_exit_code_is_in_the_readme(code: Exit) -> None:
    assert f"| {int(code)} |" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    text = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in text, page.name


def test_the_readme_is_one_page() -> None:
    assert len(README.splitlines()) <= 130


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    section = (ROOT / "setup.cfg").read_text().split("install_requires =")[1].split("\n\n")[0]
    for line in section.strip().splitlines():
        name = re.match(r"\s*([A-Za-z0-9_.-]+)", line)
        assert name is not None
        assert name[1] in text, f"{name[1]} is not in docs/dependencies.md"


def test_the_crontab_lines_are_such() -> None:
    lines = re.findall(r"^[*\d/]+ +[*\d/]+ +\* \* \* .*$", README, re.M)
    assert len(lines) == 5
    for line in lines:
        fields = line.split(maxsplit=5)
        assert len(fields) == 6
        assert fields[5].startswith("/opt/harvest/harvest.py ")
        assert parses(fields[5].split()[1:])


def test_a_crontab_line_that_is_wrong_is_seen() -> None:
    for words in (["useractoins"], ["useractions", "--outptu", "-"], ["--log-level", "LOUD", "index"]):
        with pytest.raises(click.UsageError):
            parses(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_examples_parse(page: Path) -> None:
    text = page.read_text().replace("\\\n", " ")
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    shell = "\n".join(re.findall(r"```sh\n.*?```", text, re.S))
    assert all(parses(words) for words in examples(shell))
