"""Computes many analytics at once; one that fails does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from harvesters.errors import CredentialsRefused, Exit, HarvestError, Interrupted, LeaseHeld, Unavailable
from harvesters.messages.analytics.computer import Computer, UnknownAnalytic
from harvesters.messages.analytics.store import Stored
from harvesters.retry import Transient

log = logging.getLogger(__name__)

_LOOK = 1.0  # seconds after which an analytic that somebody else computes is asked about again


@dataclass
class Round:
    """How many were computed, and how many failed."""

    computed: int = 0
    failed: int = 0
    refused: bool = False

    @property
    def code(self) -> Exit:
        """What a command ends with."""
        if self.refused:
            return Exit.CREDENTIALS
        return Exit.UNAVAILABLE if self.failed else Exit.DONE


def compute(computer: Computer, wanted: Iterable[Stored]) -> Round:
    """Compute each of them; one that was deleted meanwhile is left.

    Where the platform does not answer, the others that want it fail at once; where the cluster does not, all do.

    Raises:
        Interrupted: told to stop.
    """
    left = [*wanted]
    done, away = Round(), False
    while left:
        computer.clock.sleep(0)  # raises when we are told to stop
        stored = left.pop(0)
        platforms = _is_of_platform(stored)
        try:
            if platforms and away:
                raise Unavailable("the platform did not answer a moment ago")
            _patiently(computer, stored.id)
            done.computed += 1
        except Interrupted:
            raise
        except UnknownAnalytic as error:
            log.info("%s", error)
        except HarvestError as error:
            log.error("the analytic %s was not computed: %s", stored.id, error)
            done.failed += 1
            done.refused |= isinstance(error, CredentialsRefused)
            away |= platforms and isinstance(error, Unavailable)
            if isinstance(error, Unavailable) and not platforms:
                log.error("so %d more were not tried", len(left))
                done.failed += len(left)
                return done
    return done


def _is_of_platform(stored: Stored) -> bool:
    try:
        return stored.descriptor.of_platform
    except ValueError:
        return False


def _patiently(computer: Computer, id: str) -> None:
    """Compute it when nobody else does."""

    def attempt() -> None:
        try:
            computer.compute(id)
        except LeaseHeld as error:
            raise Transient(str(error), _LOOK) from error

    computer.client.retry.call(attempt, f"the analytic {id}")
