"""Addresses to places; the bad ones do no harm."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harvesters.document import Document
from harvesters.errors import ConfigError
from tests import mmdb

pytest.importorskip("maxminddb", reason="the extra geoip is not installed")
from harvesters.geoip import GeoIP

CAMBRIDGE: dict[str, Any] = {
    "city": {"names": {"en": "Cambridge", "de": "Cambridge"}},
    "continent": {"code": "NA"},
    "country": {"iso_code": "US", "names": {"en": "United States", "de": "Vereinigte Staaten"}},
    "location": {"latitude": 42.38, "longitude": -71.13, "metro_code": 506, "time_zone": "America/New_York"},
    "postal": {"code": "02138"},
    "subdivisions": [{"iso_code": "MA", "names": {"en": "Massachusetts"}}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    networks = {
        "140.247.0.0/16": CAMBRIDGE,
        "2001:db8::/32": {"country": {"iso_code": "CH", "names": {"en": "Switzerland"}}},
        "198.51.100.0/24": {"registered_country": {"iso_code": "FR"}},
        "203.0.113.0/24": {"city": "no map", "location": {"latitude": 1.0}, "subdivisions": []},
    }
    return mmdb.write(tmp_path / "city.mmdb", networks)


def test_what_is_known_of_an_address(path: Path) -> None:
    geoip = GeoIP(path)
    assert geoip.look_up("140.247.1.2") == {
        "ip": "140.247.1.2",
        "location": {"lat": 42.38, "lon": -71.13},
        "continent_code": "NA",
        "country_code2": "US",
        "country_name": "United States",
        "region_code": "MA",
        "region_name": "Massachusetts",
        "city_name": "Cambridge",
        "postal_code": "02138",
        "dma_code": 506,
        "timezone": "America/New_York",
    }
    found = geoip.look_up("2001:db8::1")
    assert found == {"ip": "2001:db8::1", "country_code2": "CH", "country_name": "Switzerland"}
    geoip.close()


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.5", "127.0.0.1", "192.168.1.1", "::1", "fe80::1%eth0", "8.8.8.8"),
        *("", "unknown", "-omitted-", "140.247.1.2:8080", "1.2.3", "x" * 5000, "198.51.100.7", "203.0.113.9"),
    ],
)
def test_bad_private_and_unknown_addresses_do_no_harm(path: Path, address: str) -> None:
    geoip = GeoIP(path)
    document = Document("1", "useractions", datetime(2026, 2, 13, tzinfo=UTC), {"ip": address})
    geoip.add_to(document)
    assert document.body == {"ip": address}
    geoip.close()


def test_a_document_gets_it_beside_its_ip(path: Path) -> None:
    geoip = GeoIP(path)
    moment = datetime(2026, 2, 13, tzinfo=UTC)
    known = Document("1", "useractions", moment, {"ip": "140.247.1.2"})
    told = Document("2", "useractions", moment, {"ip": "140.247.1.2", "geoip": {"city_name": "Elsewhere"}})
    without = Document("3", "useractions", moment, {"ip": None})
    for document in (known, told, without):
        geoip.add_to(document)
    assert known.body["geoip"]["city_name"] == "Cambridge"
    assert told.body["geoip"] == {"city_name": "Elsewhere"}
    assert "geoip" not in without.body
    geoip.close()


def test_an_address_of_ipv6_in_a_file_for_ipv4(tmp_path: Path) -> None:
    geoip = GeoIP(mmdb.write(tmp_path / "v4.mmdb", {"140.247.0.0/16": CAMBRIDGE}, ip_version=4))
    assert geoip.look_up("2001:db8::1") is None
    assert geoip.look_up("140.247.1.2") is not None
    geoip.close()


def test_a_file_that_is_not_there_or_is_another_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        GeoIP(tmp_path / "nowhere.mmdb")
    (tmp_path / "other.mmdb").write_text("something else")
    with pytest.raises(ConfigError, match="no GeoLite2 City file"):
        GeoIP(tmp_path / "other.mmdb")
