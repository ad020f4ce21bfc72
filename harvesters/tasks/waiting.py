"""How long a task waits for what is away.

A pause may be longer than a broker lets a worker have a task, so it is made of shorter ones: each is a new message of
the same task, which carries in a header how far the wait is. A countdown keeps no worker from other tasks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NoReturn, Self

from harvesters.errors import BadInput, ConfigError, HarvestError, Interrupted, LeaseHeld, RaceLost
from harvesters.tasks.ledger import Ledger, Sent

log = logging.getLogger(__name__)

HEADER = "harvest"
_FIRST, _LONGEST = 10.0, 300.0  # seconds of a pause: 10, 20, 40 … 300
_TOGETHER = 6 * 3600.0  # seconds of all pauses of a task
_HELD = 2.0  # seconds after which what somebody else is at is asked about again


@dataclass(frozen=True)
class Wait:
    """How far the wait of a task is.

    Attributes:
        message: which message of the task this is.
        tries: how often it was tried in vain.
        waited: seconds of the pauses so far, the one under way too.
        left: seconds of that one that are still to come.
    """

    message: int = 0
    tries: int = 0
    waited: float = 0.0
    left: float = 0.0

    @classmethod
    def read(cls, headers: Mapping[str, Any] | None) -> Self:
        """From the headers of a task; of one that says nothing, or nonsense, the beginning."""
        told = (headers or {}).get(HEADER) or {}
        try:
            return cls(int(told["message"]), int(told["tries"]), float(told["waited"]), float(told["left"]))
        except (KeyError, TypeError, ValueError):
            return cls()

    def headers(self) -> dict[str, Any]:
        """For the next message."""
        return {HEADER: asdict(self)}

    def failed(self) -> Self | None:
        """After one more try in vain; None when it has waited long enough."""
        pause = min(_FIRST * 2.0 ** min(self.tries, 30), _LONGEST)
        if self.waited + pause > _TOGETHER:
            return None
        return replace(self, tries=self.tries + 1, waited=self.waited + pause, left=pause)

    def held(self, seconds: float) -> Self:
        """While somebody else is at the same: that is no try."""
        return replace(self, left=seconds)

    def step(self, longest: float) -> tuple[Self, float]:
        """The next message, and its countdown, which is no longer than that."""
        countdown = min(self.left, longest)
        return replace(self, message=self.message + 1, left=self.left - countdown), countdown


@dataclass
class Patience:
    """Does tasks, and has those wait that cannot be done now.

    Args:
        longest: seconds that one message of a task may wait.
    """

    ledger: Ledger
    longest: float

    def run(self, task: Any, do: Callable[[], None]) -> None:
        """Do the task under way, of which `do` is the work.

        Raises:
            celery.exceptions.Retry, Reject: it is still to be done.
        """
        from celery.exceptions import Reject

        wait = Wait.read(task.request.headers)
        if self.ledger.stale(task.request.id, wait.message):
            log.info("%s %s has been done, or is under way", task.name, task.request.id)
            return
        self.ledger.write(_sent(task, wait))
        if wait.left > 0:
            self._again(task, wait)
        try:
            do()
        except (LeaseHeld, RaceLost) as error:
            log.info("%s", error)
            self._again(task, wait.held(_HELD))
        except Interrupted as error:
            raise Reject("given back", requeue=True) from error
        except (BadInput, ConfigError) as error:  # it would fail again
            log.error("%s is given up: %s", task.name, error)
        except HarvestError as error:
            self._failed(task, wait, error)
        self.ledger.over(task.request.id)

    def _failed(self, task: Any, wait: Wait, error: HarvestError) -> None:
        later = wait.failed()
        if later is None:
            log.error("%s is given up after six hours: %s", task.name, error)
            return
        level = logging.WARNING if wait.tries else logging.ERROR  # the first is news
        log.log(level, "%s is tried again in %.0f s: %s", task.name, later.left, error)
        self._again(task, later)

    def _again(self, task: Any, wait: Wait) -> NoReturn:
        """Put the task back."""
        from celery.exceptions import Reject

        later, countdown = wait.step(self.longest)
        sent = _sent(task, later)
        self.ledger.write(sent)
        try:
            retry = task.retry(countdown=countdown, headers=sent.headers, throw=False)
        except Reject as error:  # it could not be sent, and would be gone
            self.ledger.write(_sent(task, wait))
            raise Reject(error.reason, requeue=True) from error
        raise retry


def _sent(task: Any, wait: Wait) -> Sent:
    request = task.request
    headers = {**(request.headers or {}), **wait.headers()}
    return Sent(request.id, task.name, [*(request.args or ())], {**(request.kwargs or {})}, headers, wait.message)
