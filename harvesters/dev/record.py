"""What is up: kept under the state directory, with the settings that point at it in the user's own directory."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harvesters.dev.process import ServerProcess
from harvesters.errors import ConfigError, HarvestError, TryLater
from harvesters.files import refusal

ENV_FILE = ".env.dev"
_MARK = "# Written by harvest.py dev up; harvest.py dev down removes it."


@dataclass
class Server:
    """One server process of the embedded environment, or one service of Compose (without a process of ours)."""

    name: str
    url: str
    settings: dict[str, str] = field(default_factory=dict)
    process: ServerProcess | None = None


@dataclass
class Record:
    """What one ``dev up`` brought up.

    Attributes:
        kind: ``embedded`` or ``compose``.
        env_file: the settings file that was written, and `digest` of what was written into it.
    """

    kind: str
    servers: list[Server] = field(default_factory=list)
    env_file: str = ""
    digest: str = ""


class Home:
    """The directory of the development environment, below the state directory."""

    def __init__(self, state: Path) -> None:
        self.path = state / "dev"
        self._file = self.path / "environment.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes the environment meanwhile.

        Raises:
            TryLater: somebody does already.
            ConfigError, Unavailable: the directory cannot be made, or there is no room for it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path, os.O_RDONLY)  # the directory itself: a lock file would be left behind
        except OSError as error:
            raise self._refusal(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise TryLater("another harvest.py dev command is at work; try again when it has ended") from None
        finally:
            os.close(lock)

    def load(self) -> Record | None:
        """What is up, as far as is known.

        Raises:
            ConfigError: the record cannot be read.
        """
        try:
            found = json.loads(self._file.read_text())
            servers = [_server(entry) for entry in found.pop("servers")]
            return Record(servers=servers, **found)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"{self._file} cannot be read ({error}): end what it lists by hand, and delete it"
            ) from error

    def save(self, record: Record) -> None:
        """Remember; whole or not at all.

        Raises:
            ConfigError, Unavailable: the directory cannot be written, or there is no room in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(self._file, json.dumps(asdict(record), indent=2) + "\n")
        except OSError as error:
            raise self._refusal(error) from error

    def forget(self) -> None:
        """Nothing is up any more."""
        self._file.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def _refusal(self, error: OSError) -> HarvestError:
        advice = "Set HARVEST_STATE_DIR to a directory that can be written."
        return refusal(error, self.path, advice, "Run the same command again then.")


def write_settings(record: Record, directory: Path) -> Path:
    """Write the settings of all servers: over the file written before if it is still there, else into `directory`.

    Mode 0600. Fills in `record.env_file` and `record.digest`.

    Raises:
        ConfigError: there is a file of that name which is not ours, or the directory cannot be written.
    """
    path = settings_path(record, directory)
    values: dict[str, str] = {}
    for server in record.servers:
        values |= server.settings
    text = "\n".join([_MARK, *(f"{name}={value}" for name, value in sorted(values.items())), ""])
    if path.exists() and _digest(text) == record.digest:
        return path  # with whatever the user has added to it since
    try:
        _write(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}") from error
    record.env_file, record.digest = str(path), _digest(text)
    return path


def settings_path(record: Record | None, directory: Path) -> Path:
    """Where the settings are, or would go.

    Raises:
        ConfigError: a file that somebody else wrote is there, or it cannot be told whose it is.
    """
    path = directory.absolute() / ENV_FILE
    if record is not None and record.env_file and Path(record.env_file).exists():
        path = Path(record.env_file)
    try:
        foreign = path.exists() and not path.read_text(errors="replace").startswith(_MARK)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if foreign:
        raise ConfigError(f"{path} is there already and was not written by dev up: move it away first")
    return path


def remove_settings(record: Record) -> str:
    """Remove the settings file if it is still as it was written; returns a sentence on what was done, or ""."""
    path = Path(record.env_file) if record.env_file else None
    if path is None or not path.exists():
        return ""
    if _digest(path.read_text(errors="replace")) != record.digest:
        return f"{path} was changed since and stays"
    path.unlink()
    return f"removed {path}"


def _server(entry: dict[str, Any]) -> Server:
    process = entry.pop("process")
    return Server(process=ServerProcess(**process) if process else None, **entry)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
