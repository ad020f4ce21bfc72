"""What is on a simulated platform: applications and who enabled them, tasks, profiles and cohorts."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class App:
    """An application; `users` are ids of those who enabled it, with the second of the epoch at which they did."""

    id: str
    name: str
    users: dict[str, int] = field(default_factory=dict)

    def row(self) -> Row:
        """As the hub gives it."""
        return {"id": self.id, "name": self.name, "status": "ACTIVE", "ownerId": "1", "metadata": {}}


@dataclass
class World:
    """All of it. Tasks are in the order in which they were created, and hold their transactions."""

    apps: dict[str, App] = field(default_factory=dict)
    tasks: list[Row] = field(default_factory=list)
    profiles: dict[str, Row] = field(default_factory=dict)
    cohorts: list[Row] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *apps: App) -> None:
        """More applications."""
        self.apps.update({app.id: app for app in apps})

    def create(self, app: str, second: int) -> Row:
        """One more task of `app`, created then."""
        with self._lock:
            number = len(self.tasks) + 1
            made = task(f"task-{number}", app, "1", f"Who can help me with number {number}?", second)
            self.tasks.append(made)
            return made

    def all_tasks(self) -> list[Row]:
        """Those that there are now."""
        with self._lock:
            return list(self.tasks)

    def transactions(self) -> Iterator[Row]:
        """Those of all tasks."""
        for one in self.all_tasks():
            yield from one["transactions"]


def task(id: str, app: str, user: str, question: str, second: int, close: int | None = None, **more: Any) -> Row:
    """A task as the task manager gives it, with the transaction that created it."""
    made: Row = {
        "id": id,
        "_creationTs": second,
        "_lastUpdateTs": second,
        "taskTypeId": "ask4help",
        "requesterId": user,
        "appId": app,
        "goal": {"name": question, "description": "", "keywords": []},
        "norms": [],
        "attributes": {"domain": "studying", "anonymous": False},
        "closeTs": close,
        "communityId": "community",
        "transactions": [],
        **more,
    }
    transact(made, "CREATE_TASK", user, second, {})
    return made


def transact(task: Row, label: str, user: str, second: int, attributes: Row, *messages: Row) -> Row:
    """Add a transaction to `task`; ids are numbers within the task, as texts."""
    made = {
        "taskId": task["id"],
        "label": label,
        "attributes": attributes,
        "actioneerId": user,
        "messages": list(messages),
        "id": str(len(task["transactions"])),
        "_creationTs": second,
        "_lastUpdateTs": second,
    }
    task["transactions"].append(made)
    task["_lastUpdateTs"] = max(second, task["_lastUpdateTs"])
    return made


def callback(app: str, receiver: str, label: str, **attributes: Any) -> Row:
    """A message of a transaction to a user's bot."""
    return {"appId": app, "receiverId": receiver, "label": label, "attributes": attributes}


_PROFILE: Row = {
    "id": "",
    "name": {"prefix": None, "first": None, "middle": None, "last": None, "suffix": None},
    "dateOfBirth": {"year": None, "month": None, "day": None},
    "gender": None,
    "email": None,
    "phoneNumber": None,
    "locale": "en_GB",
    "avatar": None,
    "nationality": None,
    "occupation": None,
}


def profile(id: str, first: str | None = None, last: str | None = None, **fields: Any) -> Row:
    """A profile as the profile manager gives it; what is not said is null."""
    made = copy.deepcopy(_PROFILE)
    made["id"] = id
    made["name"].update(first=first, last=last)
    return made | fields


def cohort(user: str, app: str, number: int, second: int = 0) -> Row:
    """An entry of the incentive server: 0 for badges, 1 for incentives and badges."""
    return {"user_id": user, "app_id": app, "created_at": second, "email": f"{user}@example.org", "cohort": number}
