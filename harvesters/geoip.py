"""Where an IP address is, by a GeoLite2 City file (``GEOLITE_PATH``); needs the extra ``geoip``.

The fields are those that Logstash's geoip filter gave the old indices, so that dashboards go on working.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harvesters.document import Document
from harvesters.errors import ConfigError

if TYPE_CHECKING:
    import maxminddb

_REMEMBERED = 20_000  # addresses; a course's students come back every thirty seconds


class GeoIP:
    """Looks addresses up in one file. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            ConfigError: there is no such file, it is no GeoLite2 City file, or the extra is not installed.
        """
        self.path = path
        self._reader = _open(path)
        self._find = lru_cache(_REMEMBERED)(self._look_up)

    def look_up(self, address: str | None) -> dict[str, Any] | None:
        """What is known of `address`; None for private, unknown and unreadable ones."""
        return self._find(address) if address else None

    def add_to(self, document: Document) -> None:
        """Put ``geoip`` beside the document's ``ip``, unless there is one or nothing is known."""
        address = document.body.get("ip")
        if isinstance(address, str) and "geoip" not in document.body and (found := self.look_up(address)):
            document.body["geoip"] = found

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _look_up(self, address: str) -> dict[str, Any] | None:
        import maxminddb

        try:
            parsed = ipaddress.ip_address(address.strip())
            record = self._reader.get(parsed)
        except ValueError:  # no address, or one of IPv6 in a file for IPv4
            return None
        except maxminddb.InvalidDatabaseError as error:
            raise _broken(self.path, error) from error
        return _fields(str(parsed), record) if isinstance(record, dict) else None


def _fields(address: str, record: dict[str, Any]) -> dict[str, Any] | None:
    city, country, location = (_part(record, name) for name in ("city", "country", "location"))
    regions = record.get("subdivisions")
    region = regions[0] if isinstance(regions, list) and regions and isinstance(regions[0], dict) else {}
    latitude, longitude = location.get("latitude"), location.get("longitude")
    found = {
        "location": {"lat": latitude, "lon": longitude} if latitude is not None and longitude is not None else None,
        "continent_code": _part(record, "continent").get("code"),
        "country_code2": country.get("iso_code"),
        "country_name": _name(country),
        "region_code": region.get("iso_code"),
        "region_name": _name(region),
        "city_name": _name(city),
        "postal_code": _part(record, "postal").get("code"),
        "dma_code": location.get("metro_code"),
        "timezone": location.get("time_zone"),
    }
    known = {name: value for name, value in found.items() if value is not None}
    return {"ip": address, **known} if known else None


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _name(part: dict[str, Any]) -> str | None:
    return _part(part, "names").get("en")


def _open(path: Path) -> maxminddb.Reader:
    try:
        import maxminddb
    except ImportError as error:
        raise ConfigError("GEOLITE_PATH needs the extra: pip install 'harvest[geoip]' (or unset it)") from error
    try:
        return maxminddb.open_database(path)
    except OSError as error:
        raise ConfigError(f"GEOLITE_PATH={str(path)!r} cannot be read: {error.strerror}") from error
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"GEOLITE_PATH={str(path)!r} is no GeoLite2 City file: {error}. Download it again.")
