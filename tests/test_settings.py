"""Settings: where a value comes from, and what is said about one that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harvesters.addresses import base_url
from harvesters.errors import ConfigError
from harvesters.settings import Settings
from harvesters.settingtable import SETTINGS


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / "harvest.env"
    path.write_text(
        "# a comment\n"
        "MATTERHORN_REST_USER=from-file\n"
        "SQS_QUEUE_NAME=\n"
        'LOGGLY_TAGS="one, two"\n'
        "export ZOOM_KEY='with # inside'\n"
    )
    return path


@pytest.fixture(autouse=True)
def keep_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Settings.read` writes into the environment: into a copy, here."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def now() -> Settings:
    """The settings of a process with this environment, without a file."""
    return Settings.read(Path(os.devnull))


class TestWhereAValueComesFrom:
    def test_the_environment_wins_over_the_file(self, env_file: Path) -> None:
        os.environ["MATTERHORN_REST_USER"] = "from-environment"
        assert Settings.read(env_file).get("MATTERHORN_REST_USER") == "from-environment"

    def test_a_flag_wins_over_both(self, env_file: Path) -> None:
        settings = Settings.read(env_file).with_flags({"MATTERHORN_REST_USER": "from-flag", "ZOOM_KEY": None})
        assert settings.get("MATTERHORN_REST_USER") == "from-flag"
        assert settings.get("ZOOM_KEY") == "with # inside"

    @pytest.mark.parametrize("nothing", ["", "  "])
    def test_an_empty_value_counts_as_unset(self, env_file: Path, nothing: str) -> None:
        os.environ["DEFAULT_INTERVAL"] = nothing
        assert now().get("DEFAULT_INTERVAL") == "2"
        assert now().with_flags({"DEFAULT_INTERVAL": nothing}).get("DEFAULT_INTERVAL") == "2"
        assert now().optional_number("MAX_START_END_SPAN") is None

    def test_an_empty_environment_variable_does_not_hide_the_file(self, env_file: Path) -> None:
        os.environ["MATTERHORN_REST_USER"] = ""
        settings = Settings.read(env_file)
        assert settings.get("MATTERHORN_REST_USER") == "from-file"

    def test_the_file_may_quote_and_export(self, env_file: Path) -> None:
        settings = Settings.read(env_file)
        assert settings.get("LOGGLY_TAGS") == "one, two"
        assert settings.get("ZOOM_KEY") == "with # inside"

    def test_an_empty_aws_setting_is_not_passed_on_to_boto3(self, env_file: Path) -> None:
        os.environ["AWS_PROFILE"] = ""
        Settings.read(env_file)
        assert "AWS_PROFILE" not in os.environ

    def test_a_named_file_that_is_missing_or_no_text_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"nowhere\.env: there is no such file"):
            Settings.read(tmp_path / "nowhere.env")
        (tmp_path / "binary.env").write_bytes(b"A=\xff\xfe\n")
        with pytest.raises(ConfigError, match=r"binary\.env cannot be read"):
            Settings.read(tmp_path / "binary.env")

    def test_the_state_directory_follows_xdg(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert now().state_dir() == tmp_path / "state"
        os.environ["HARVEST_STATE_DIR"] = "~/mine"
        assert now().state_dir() == Path.home() / "mine"
        os.environ["HARVEST_STATE_DIR"] = ""
        os.environ["XDG_STATE_HOME"] = "/xdg"
        assert now().state_dir() == Path("/xdg/harvest")
        os.environ["XDG_STATE_HOME"] = ""
        assert now().state_dir() == Path.home() / ".local" / "state" / "harvest"


class TestBaseUrl:
    @pytest.mark.parametrize(
        ("value", "url"),
        [
            ("matterhorn.example.edu", "https://matterhorn.example.edu"),
            ("matterhorn.example.edu:8443", "https://matterhorn.example.edu:8443"),
            ("matterhorn.example.edu/", "https://matterhorn.example.edu"),
            (" matterhorn.example.edu\n", "https://matterhorn.example.edu"),
            ("10.1.2.3:8080", "https://10.1.2.3:8080"),
            ("http://matterhorn.example.edu", "http://matterhorn.example.edu"),
            ("https://matterhorn.example.edu:443/", "https://matterhorn.example.edu:443"),
            ("https://example.edu/opencast/", "https://example.edu/opencast"),
            ("localhost", "http://localhost"),
            ("LOCALHOST:8080", "http://LOCALHOST:8080"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("127.8.9.1", "http://127.8.9.1"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("[2001:db8::1]:8080", "https://[2001:db8::1]:8080"),
            ("https://localhost:8443", "https://localhost:8443"),
            ("localhost.example.edu", "https://localhost.example.edu"),
            ("127.example.edu", "https://127.example.edu"),
        ],
    )
    def test_a_bare_host_means_https_and_a_loopback_host_http(self, value: str, url: str) -> None:
        assert base_url(value, "ES_HOST") == url

    @pytest.mark.parametrize(
        "value",
        ["", "http://", "ftp://host", "host:port", "host:99999", "host:0", "two words", "[::1", "//host", "::1"],
    )
    def test_anything_else_names_the_setting_and_not_the_value(self, value: str) -> None:
        with pytest.raises(ConfigError, match=r"^ES_HOST: this is no host, host:port or http\(s\) URL$"):
            base_url(value, "ES_HOST")


class TestErrorsNameTheSetting:
    def test_a_missing_one(self) -> None:
        with pytest.raises(ConfigError, match=r"^MATTERHORN_REST_PASS is not set .* or give -p") as error:
            now().with_flags({}, {"MATTERHORN_REST_PASS": "-p/--password"}).require("MATTERHORN_REST_PASS")
        assert error.value.code == 78

    @pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "1,5"])
    def test_a_number(self, value: str) -> None:
        os.environ["HARVEST_LOOKBACK"] = value
        with pytest.raises(ConfigError, match=r"^HARVEST_LOOKBACK=.* a number, 0 or more"):
            now().number("HARVEST_LOOKBACK")

    def test_a_number_below_its_minimum(self) -> None:
        os.environ["HARVEST_LEASE_TTL"] = "0.5"
        with pytest.raises(ConfigError, match=r"^HARVEST_LEASE_TTL=.* 1 or more"):
            now().number("HARVEST_LEASE_TTL", minimum=1)

    def test_a_time_zone(self) -> None:
        os.environ["OPENCAST_TIMEZONE"] = "Mars/Olympus"
        with pytest.raises(ConfigError, match=r"^OPENCAST_TIMEZONE='Mars/Olympus'"):
            now().timezone("OPENCAST_TIMEZONE")

    def test_a_choice(self) -> None:
        os.environ["OPENCAST_AUTH"] = "Basic"
        assert now().choice("OPENCAST_AUTH", ("digest", "basic")) == "basic"
        os.environ["OPENCAST_AUTH"] = "kerberos"
        with pytest.raises(ConfigError, match=r"^OPENCAST_AUTH='kerberos' is none of digest, basic"):
            now().choice("OPENCAST_AUTH", ("digest", "basic"))

    @pytest.mark.parametrize("value", ["some", "-1", "-1%", "%", "1.5", "nan%"])
    def test_the_error_budget(self, value: str) -> None:
        os.environ["HARVEST_ERROR_BUDGET"] = value
        with pytest.raises(ConfigError, match=r"^HARVEST_ERROR_BUDGET="):
            now().error_budget()

    @pytest.mark.parametrize(
        ("value", "budget"),
        [
            ("", (0.01, 10)),
            ("1%", (0.01, 10)),
            ("2.5%", (0.025, 10)),
            ("0%", (0.0, 10)),
            ("25", (0.0, 25)),
            ("0", (0.0, 0)),
        ],
    )
    def test_the_error_budget_is_a_share_with_a_floor_or_a_number(self, value: str, budget: tuple[float, int]) -> None:
        os.environ["HARVEST_ERROR_BUDGET"] = value
        assert now().error_budget() == pytest.approx(budget)


def test_every_setting_is_declared_once_and_says_what_happens_without_it() -> None:
    names = [setting.name for setting in SETTINGS]
    assert len(names) == len(set(names))
    assert all(setting.help.endswith(".") for setting in SETTINGS)


def test_the_values_of_secret_settings_are_known_for_redaction() -> None:
    os.environ.update(MATTERHORN_REST_PASS="hush", AWS_SECRET_ACCESS_KEY="hush-too", MATTERHORN_REST_USER="known")
    assert sorted(now().secrets()) == ["hush", "hush-too"]
