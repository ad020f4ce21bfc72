"""Celery: names, queues and retries of tasks, each of which calls a function that knows nothing of it.

``celery -A harvesters.tasks:app worker`` finds `app`, made of the settings of that process when it is asked for.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from harvesters.privacy import protect
    from harvesters.settings import Settings
    from harvesters.tasks.app import make_app

    settings = Settings.read()
    protect(settings.secrets())
    made = globals()["app"] = make_app(settings)
    return made
