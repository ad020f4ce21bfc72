"""What this process was told: flags, environment and `.env`, read once.

A flag wins over the process environment, the environment over `.env` (beside `harvest.py`, or `--env-file`), and an
empty value counts as unset. An old name (`Setting.aliases`) counts where the new one is unset. `Settings` is read once,
where a process begins, and handed down: nothing below the command line looks at the environment.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from harvesters.addresses import base_url
from harvesters.errors import ConfigError
from harvesters.privacy import holds_private_key, looks_like_path
from harvesters.settingtable import SETTINGS
from harvesters.timespan import zone

T = TypeVar("T")

_FOREVER = 3e9  # a century, in seconds; clocks, timeouts and calendars end not far beyond

log = logging.getLogger(__name__)
_BY_NAME = {setting.name: setting for setting in SETTINGS}
_ACCOUNT = "FIREBASE_CREDENTIALS"  # a path or JSON, which may be indented
_ANY_BYTES = {"ES_USER", "ES_PASSWORD"}  # sent as they are
_PORT = "EL_PORT"  # goes with EL_HOST
_OURS = {_PORT, "XDG_STATE_HOME", *_BY_NAME, *(alias for setting in SETTINGS for alias in setting.aliases)}
_LIKE_OURS = "HARVEST_"
_AWS, _OTEL, _OTLP = "AWS_", "OTEL_", "OTEL_EXPORTER_OTLP_"
_PASSED_ON = (_AWS, _OTEL)  # boto3 and OpenTelemetry read these themselves, and boto3 takes an empty value for a value
_SECRETS_OF_BOTO3 = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_NOTHING: Mapping[str, str] = MappingProxyType({})  # the default of arguments


@dataclass(frozen=True)
class Settings:
    """What this process was told, once and for all.

    Args:
        values: by name, as the environment and `.env` have them; empty ones are left out.
        flags: by name, as the command line has them: they win.
        options: by name, how a setting is given on the command line, for what errors advise.
        file: what the settings file is called, and which names it sets.
        strangers: names like ours, ``HARVEST_*``, that are no settings.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict, compare=False)
    file: tuple[str, frozenset[str]] = field(default=("", frozenset()), compare=False)
    strangers: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def read(cls, env_file: Path | None = None, environment: MutableMapping[str, str] | None = None) -> Self:
        """The settings of a process: its environment, and a dotenv file for what that leaves unset.

        Without `env_file` it is the `.env` beside `harvest.py`, or for an installed package the one in the current
        directory. What is no setting of ours goes from the file into the environment, where boto3 and others look.

        Raises:
            ConfigError: `env_file` was given and cannot be read.
        """
        environment = os.environ if environment is None else environment
        for name in [name for name, value in environment.items() if name.startswith(_PASSED_ON) and not value]:
            del environment[name]
        values = {name: value for name in _OURS if (value := environment.get(name, "").strip())}
        from_file = _dotenv(env_file)
        told_by_file = frozenset(from_file.keys() & _OURS - values.keys())
        for name, value in from_file.items():
            if name in _OURS:
                values.setdefault(name, value)
            elif not environment.get(name):
                environment[name] = value
        for name in environment:
            if name.startswith(_AWS):
                _one_line(name, environment[name])
        values |= {name: value for name in _SECRETS_OF_BOTO3 if (value := environment.get(name, ""))}
        values |= {name: value for name, value in environment.items() if name.startswith(_OTEL)}
        # Whoever reads the others, such as boto3, quotes them; so `secrets` has to know of a key in the wrong place.
        values |= {name: value for name, value in environment.items() if holds_private_key(value)}
        path = env_file if env_file is not None else _default_env_file()
        strangers = sorted(name for name in environment if name.startswith(_LIKE_OURS) and name not in _OURS)
        return cls(MappingProxyType(values), file=(str(path), told_by_file), strangers=tuple(strangers))

    def with_flags(self, flags: Mapping[str, Any], options: Mapping[str, str] = _NOTHING) -> Self:
        """The same settings, with what the command line says on top; a flag that is None or empty says nothing."""
        given = {name: str(value) for name, value in flags.items() if value is not None and str(value).strip()}
        return replace(self, flags={**self.flags, **given}, options={**self.options, **options})

    def get(self, name: str) -> str:
        """The value of setting `name`: the flag's, else the environment's, else the default; "" when there is none.

        Raises:
            ConfigError: there is a line break or the like in it, or it holds a private key, which only
                FIREBASE_CREDENTIALS may: others are shown in messages.
        """
        value = self.flags.get(name, "") or self._set(name) or _BY_NAME[name].default
        if name != _ACCOUNT and holds_private_key(value):
            raise ConfigError(f"{name} holds a private key, which is not shown here. Only {_ACCOUNT} may hold one.")
        return _one_line(name, value)

    def given(self, name: str) -> bool:
        """Whether anything sets it; a default does not count."""
        return bool(self.flags.get(name, "") or self._set(name))

    def source(self, name: str) -> str:
        """Where the value of setting `name` comes from: ``environment``, the settings file, ``default`` or ``unset``.

        An older name is named instead.
        """
        path, told = self.file
        for named in (name, *_BY_NAME[name].aliases):
            if self.values.get(named):
                return named if named != name else path if named in told else "environment"
        return "default" if _BY_NAME[name].default else "unset"

    def require(self, name: str) -> str:
        """As `get`, but a setting without a value is an error that names it.

        Raises:
            ConfigError: nothing sets it.
        """
        self.require_all(name)
        return self.get(name)

    def require_all(self, *names: str | tuple[str, ...]) -> None:
        """See that each of these has a value; of several in a tuple one is enough.

        Raises:
            ConfigError: some have none; it names them all.
        """
        groups = [(name,) if isinstance(name, str) else name for name in names]
        missing = [group for group in groups if not any(self.get(name) for name in group)]
        if not missing:
            return
        options = [self.options[name] for group in missing for name in group if name in self.options]
        advice = f" or give {', '.join(options)}" if options else ""
        texts = [f"{' or '.join(group)} ({_BY_NAME[group[0]].help.rstrip('.')})" for group in missing]
        if len(missing) == 1:
            raise ConfigError(
                f"{texts[0].replace(' (', ' is not set (', 1)}. Put it into .env or the environment{advice}."
            )
        raise ConfigError(f"not set: {'; '.join(texts)}. Put them into .env or the environment{advice}.")

    def number(self, name: str, minimum: float = 0.0) -> float:
        """A numeric setting; one beyond `_FOREVER` is as good as that.

        Raises:
            ConfigError: it is no number, or below `minimum`.
        """
        number = _read(
            name, self.get(name), lambda text: _bounded(float(text), minimum), f"a number, {minimum:g} or more"
        )
        return min(number, _FOREVER)

    def optional_number(self, name: str, minimum: float = 0.0) -> float | None:
        """A numeric setting that may be unset."""
        return self.number(name, minimum) if self.get(name) else None

    def timezone(self, name: str) -> ZoneInfo:
        """A setting that names a time zone."""
        return _read(name, self.get(name), zone, "the name of a time zone, such as UTC or America/New_York")

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """A setting that is one of `allowed` words."""
        value = self.get(name).lower()
        if value not in allowed:
            raise ConfigError(f"{name}={value!r} is none of {', '.join(allowed)}")
        return value

    def names(self, name: str) -> list[str]:
        """The names in a setting, which has commas between them."""
        return [part.strip() for part in self.get(name).split(",") if part.strip()]

    def url(self, name: str) -> str:
        """A setting that names a host, as a base URL (see `base_url`).

        Raises:
            ConfigError: it is not set, or no host.
        """
        return base_url(self.require(name), name)

    def otlp(self, signal: str) -> bool:
        """Whether OpenTelemetry is to send ``TRACES`` or ``METRICS``; its own settings say so, and where to."""
        told = any(self.values.get(f"{_OTLP}{which}ENDPOINT", "").strip() for which in ("", f"{signal}_"))
        off = self.values.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        return told and not off and self.values.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() != "none"

    def error_budget(self) -> tuple[float, int]:
        """``HARVEST_ERROR_BUDGET`` as (share of the run, least number): ``1%`` is (0.01, 10), ``25`` is (0.0, 25)."""

        def read(text: str) -> tuple[float, int]:
            if text.endswith("%"):
                return _bounded(float(text[:-1]), 0.0) / 100, 10
            return 0.0, int(_bounded(int(text), 0))

        name = "HARVEST_ERROR_BUDGET"
        return _read(name, self.get(name), read, "a share such as 1% or a whole number")

    def state_dir(self) -> Path:
        """Where files of the harvester live; made when first written to."""
        if value := self.get("HARVEST_STATE_DIR"):
            return Path(value).expanduser()
        home = self.values.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        return Path(home) / "harvest"

    def secrets(self) -> list[str]:
        """The values of all secret settings, under every name, boto3's, and what holds a private key: for redaction."""
        names = {name for setting in SETTINGS if setting.secret for name in (setting.name, *setting.aliases)}
        names |= {*_SECRETS_OF_BOTO3}
        given = [*self.values.items(), *self.flags.items()]
        headers = [value for name, value in given if name.startswith(_OTLP) and name.endswith("HEADERS")]
        keys = [part.partition("=")[2].strip() for value in headers for part in value.split(",")]
        secret = [
            value
            for name, value in given
            if name in names or holds_private_key(value) or (name == _ACCOUNT and not looks_like_path(value))
        ]
        return [*secret, *keys, *map(unquote, keys)]

    def _set(self, name: str) -> str:
        """What is set under the name, else under an older one."""
        old = [(alias, value) for alias in _BY_NAME[name].aliases if (value := self._old(alias))]
        value = self.values.get(name, "")
        if not value:
            return old[0][1] if old else ""
        for alias, other in old:
            if other != value:
                _warn_once(f"{name} and its older name {alias} are both set, and differently: {name} counts")
        return value

    def _old(self, alias: str) -> str:
        value = self.values.get(alias, "")
        if alias != "EL_HOST" or not value:
            return value
        port = self.values.get(_PORT, "")
        value = value if "://" in value else f"http://{value}"
        return f"{value}:{port}" if port and value.count(":") == 1 else value


def _dotenv(path: Path | None) -> dict[str, str]:
    """What the dotenv file says, without what it leaves empty."""
    chosen = path if path is not None else _default_env_file()
    try:
        there = chosen.exists()
    except OSError as error:
        raise ConfigError(f"{chosen} cannot be read: {error.strerror}") from error
    if not there:
        if path is None:
            return {}
        raise ConfigError(f"--env-file {path}: there is no such file")
    from io import StringIO

    from dotenv import dotenv_values

    try:
        text = chosen.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigError(f"{chosen} cannot be read: {reason}") from error
    if "\0" in text:
        line = text.partition("\0")[0].count("\n") + 1
        raise ConfigError(f"{chosen}: line {line} holds a NUL character, which no setting can")
    found = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in found.items() if value}


def _one_line(name: str, value: str) -> str:
    """`value`; it stands in headers, names and addresses, where a line break would begin something else."""
    if name != _ACCOUNT and any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise ConfigError(f"{name} holds a line break or another control character: take it out.")
    if name not in _ANY_BYTES and not _is_utf_8(value):
        raise ConfigError(f"{name} holds bytes that are no UTF-8: write it in UTF-8.")
    return value


def _is_utf_8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # the environment may hold any bytes, as of a shell that writes Latin-1
        return False
    return True


def _default_env_file() -> Path:
    root = Path(__file__).resolve().parent.parent
    return (root if (root / "harvest.py").is_file() else Path.cwd()) / ".env"


_warned: set[str] = set()


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        log.warning("%s", text)


def _bounded(value: float, minimum: float) -> float:
    if math.isnan(value) or math.isinf(value) or value < minimum:
        raise ValueError(value)
    return value


def _read(name: str, text: str, reader: Callable[[str], T], wanted: str) -> T:
    try:
        return reader(text)
    except ValueError as error:
        raise ConfigError(f"{name}={text!r} cannot be read; it should be {wanted}") from error
