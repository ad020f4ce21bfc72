"""What browsers are called, whichever engine tries uap-core's expressions."""

from __future__ import annotations

import sys

import pytest

from harvesters import useragents

_MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
)
_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 "
    "Mobile/15E148 Safari/604.1"
)
_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/115.0"


@pytest.fixture(params=["as installed", "without RE2"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each engine; RE2 is missing where its wheel does not install."""
    if request.param == "without RE2":
        monkeypatch.delitem(sys.modules, "ua_parser.re2", raising=False)
        monkeypatch.setitem(sys.modules, "re2", None)
    useragents._parser.cache_clear()
    useragents.parsed.cache_clear()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("useragent", "name", "system", "device"),
    [
        (_MAC, "Chrome", "Mac OS X", "Mac"),
        (_IPHONE, "Mobile Safari", "iOS", "iPhone"),
        (_WINDOWS, "Firefox", "Windows", "Other"),
        ("unheard-of", "Other", "Other", "Other"),
        ("half of a pair \ud83d Chrome/100.0", "Chrome", "Other", "Other"),
        ("NUL \0 ümlaut \U0001f600 Chrome/100.0", "Chrome", "Other", "Other"),
        ("x" * 100_000, "Other", "Other", "Other"),
    ],
)
def test_names(useragent: str, name: str, system: str, device: str) -> None:
    found = useragents.parsed(useragent)
    assert (found["name"], found["os_name"], found["os"], found["device"]) == (name, system, system, device)
