"""CronJobs for Kubernetes, one a job, with the settings from a Secret called ``harvest``.

A pod's files are new each time, so checkpoints belong into S3 there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from harvesters.operate.schedule.entry import Entry

_USER = 10_001  # of docker/Dockerfile
_STATE = "/var/lib/harvest"
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def cronjobs(entries: Iterable[Entry], image: str) -> Iterator[tuple[str, str]]:
    """Name and text (YAML) of each CronJob."""
    for entry in entries:
        yield f"{entry.dns}.yaml", "\n".join(_yaml(_cronjob(entry, image))) + "\n"


def _cronjob(entry: Entry, image: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "harvest", "app.kubernetes.io/component": entry.dns}
    container = {
        "name": "harvest",
        "image": image,
        "args": ["--log-format", "json", *entry.job.command],
        "envFrom": [{"secretRef": {"name": "harvest"}}],
        "env": [{"name": "HARVEST_STATE_DIR", "value": _STATE}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "state", "mountPath": _STATE}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "state", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": entry.dns, "labels": labels},
        "spec": {
            "schedule": entry.every.cron,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 100,  # without it a hundred starts that were missed end it for good
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": pod}},
            },
        },
    }


def _yaml(value: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, item in value.items():
        if isinstance(item, dict) and item:
            yield f"{indent}{name}:"
            yield from _yaml(item, indent + "  ")
        elif isinstance(item, list):
            yield f"{indent}{name}:"
            for one in item:
                yield from _listed(one, indent)
        else:
            yield f"{indent}{name}: {_scalar(item)}"


def _listed(item: Any, indent: str) -> Iterator[str]:
    if not isinstance(item, dict):
        yield f"{indent}- {_scalar(item)}"
        return
    first, *rest = _yaml(item, indent + "  ")
    yield f"{indent}- {first.lstrip()}"
    yield from rest


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return orjson.dumps(value).decode()  # JSON is YAML
