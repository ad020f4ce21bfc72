"""What goes on until it is told to stop, and so is no entry of a clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """One.

    Attributes:
        name: its command, too.
        text: what it does.
        stops_within: seconds that its end may take.
    """

    name: str
    text: str
    stops_within: int


SERVICES = {
    service.name: service
    for service in (
        Service("worker", "does what is queued", 300),
        Service("beat", "queues what is due each day", 30),
        Service("serve", "answers as pages and JSON", 60),
    )
}
