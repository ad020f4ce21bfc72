"""Data views and dashboards: saved objects in ``docker/kibana``, imported through Kibana's saved-objects API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from harvesters.errors import ProtocolError
from harvesters.http import HttpSource, read_json
from harvesters.privacy import excerpt
from harvesters.retry import RetryPolicy
from harvesters.standins.opencast import ROOT

FOLDER = ROOT / "docker" / "kibana"


def import_saved_objects(url: str, retry: RetryPolicy, folder: Path = FOLDER) -> dict[str, int]:
    """Import every ``*.ndjson`` of `folder` into the Kibana at `url`; the number of objects of each file.

    Objects that are there already are overwritten, so that importing twice is importing once.

    Raises:
        Unavailable: Kibana did not answer within the retry budget.
        ProtocolError: it refused objects; the message names them.
    """
    source = HttpSource(f"Kibana at {url}", retry)
    return {path.name: _import(source, url, path) for path in sorted(folder.glob("*.ndjson"))}


def _import(source: HttpSource, url: str, path: Path) -> int:
    def judge(response: requests.Response) -> int:
        source.check_transient(response)  # 503 as long as Kibana is starting
        answer = read_json(response) if response.status_code == 200 else {}
        if response.status_code != 200 or not answer.get("success"):
            raise ProtocolError(f"{source.name} refused {path.name}: {_reasons(response, answer)}")
        return int(answer.get("successCount", 0))

    return source.request(
        "POST",
        f"{url}/api/saved_objects/_import",
        judge,
        params={"overwrite": "true"},
        headers={"kbn-xsrf": "true"},  # Kibana refuses every writing request without it
        files={"file": (path.name, path.read_bytes(), "application/ndjson")},
    )


def _reasons(response: requests.Response, answer: dict[str, Any]) -> str:
    errors = answer.get("errors") or []
    named = [
        f"{error.get('type')} {error.get('id')}: {(error.get('error') or {}).get('type', 'unknown')}"
        for error in errors
        if isinstance(error, dict)
    ]
    return excerpt("; ".join(named) or f"{response.status_code} {response.text}")
