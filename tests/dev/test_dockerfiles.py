"""``docker/Dockerfile*``, as far as they can be checked without an engine; ``make lint`` runs hadolint over them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harvesters.dev.compose import FILE

ROOT = FILE.parent.parent
PRODUCTION, SIMULATORS = FILE.parent / "Dockerfile", FILE.parent / "Dockerfile.simulators"


def instructions(path: Path) -> list[tuple[str, str]]:
    """Each instruction with its arguments, comments left out and lines joined."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def arguments(path: Path, word: str) -> list[str]:
    return [rest for name, rest in instructions(path) if name == word]


@pytest.mark.parametrize("path", [PRODUCTION, SIMULATORS], ids=lambda path: path.name)
class TestBoth:
    def test_what_is_copied_is_in_the_tree_and_all_that_is_sent_to_docker(self, path: Path) -> None:
        copied = {source for line in arguments(path, "COPY") for source in line.split()[:-1]}
        assert all((ROOT / source).exists() for source in copied)
        ignored = path.with_name(f"{path.name}.dockerignore").read_text().splitlines()
        assert "*" in ignored
        assert {source.split("/")[0] for source in copied} == {line[1:] for line in ignored if line.startswith("!")}

    def test_links_out_of_a_copied_folder_lead_into_another_one(self, path: Path) -> None:
        places = {line.split()[-1] for line in arguments(path, "COPY")}
        links = [link for link in (ROOT / "harvesters").rglob("*") if link.is_symlink()]
        assert links
        assert {link.resolve().relative_to(ROOT).parts[0] for link in links} <= places

    def test_it_runs_harvest_and_not_as_root(self, path: Path) -> None:
        assert arguments(path, "ENTRYPOINT") == ['["harvest"]']
        (user,) = arguments(path, "USER")
        assert user.isdecimal()  # a number, so that Kubernetes can tell that it is not root
        assert int(user) > 0
        assert f"--uid {user} " in " ".join(arguments(path, "RUN"))

    def test_its_base_has_a_full_version(self, path: Path) -> None:
        (base,) = arguments(path, "FROM")
        assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-[a-z]+", base)


def test_production_has_no_servers_to_try_things_on() -> None:
    (install,) = [line for line in arguments(PRODUCTION, "RUN") if "--no-deps" in line]
    for name in ("simulators", "standins"):
        assert (ROOT / "harvesters" / name).is_dir()
        assert install.index("pip install") < install.index(f'"$package/{name}"')


def test_production_asks_for_no_health_check() -> None:
    assert arguments(PRODUCTION, "HEALTHCHECK") == ["NONE"]


def test_the_simulators_image_keeps_its_servers() -> None:
    assert "rm " not in SIMULATORS.read_text()
