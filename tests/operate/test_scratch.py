"""Directories of runs that read ahead: removed at the end, and those of killed processes by whoever comes next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harvesters.operate.scratch import Scratch, scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_it_is_there_for_a_while_and_for_its_user_alone(temporary: Path) -> None:
    with scratch() as path:
        (path / "row").write_text("Ada")
        assert path.stat().st_mode & 0o777 == 0o700
    assert not [*temporary.iterdir()]


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(temporary: Path) -> None:
    code = "import os, signal; from harvesters.operate.scratch import Scratch\n"
    code += "(Scratch().path / 'row').write_text('Ada'); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code], env={"TMPDIR": str(temporary), "PYTHONPATH": ":".join(sys.path)})
    (left,) = temporary.iterdir()
    assert (left / "row").exists()
    first = Scratch()
    with scratch() as second:
        assert {*temporary.iterdir()} == {first.path, second}
    assert first.path.is_dir()
    first.close()


def test_what_is_no_directory_of_ours_stays(temporary: Path) -> None:
    other = temporary / "other"
    other.mkdir()
    (temporary / "harvest-ahead-link").symlink_to(other)
    (temporary / "harvest-ahead-file").touch()
    with scratch():
        pass
    assert {path.name for path in temporary.iterdir()} == {"other", "harvest-ahead-link", "harvest-ahead-file"}
