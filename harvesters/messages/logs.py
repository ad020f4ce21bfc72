"""What components of the platform log: checked, and written; nothing reads it but dashboards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harvesters.elastic import bulk
from harvesters.elastic.client import SearchClient
from harvesters.messages import stored
from harvesters.messages.content import Invalid, parse_object, required
from harvesters.messages.forms import Forms
from harvesters.messages.ids import LONGEST, text_of
from harvesters.messages.model import parse_timestamp
from harvesters.messages.names import logs_of
from harvesters.messages.posting import Draft, Rejected, parts, told

_REQUIRED = ("logId", "project", "component", "severity", "logContent", "timestamp")
_OPTIONAL = ("authority", "botVersion", "metadata")


def draft(said: Any) -> Draft:
    """The log that `said` is, on its way. The same log is the same document.

    Raises:
        Invalid: it is none; the text says why.
    """
    given = parse_object(said, "a log")
    log = {
        **{name: required(given, name) for name in _REQUIRED},
        **{name: given.get(name) for name in _OPTIONAL},
    }
    project = text_of(log["project"])
    if project is None:
        raise Invalid(f"project is no text or number of 1 to {LONGEST} characters")
    moment = parse_timestamp(log["timestamp"])
    id = stored.digest(log)
    return Draft(id, (project, "", id), logs_of(project, moment.date()), stored.log_document(log, moment))


class LogWriter:
    """Writes logs; for all threads of a process."""

    def __init__(self) -> None:
        self.forms = Forms("logging")

    def post(self, client: SearchClient, drafts: Sequence[Draft], progress: Callable[[], None] = lambda: None) -> None:
        """Store each.

        Raises:
            Rejected: the cluster refuses one for good; the others may be stored.
            HarvestError: it does not answer, or takes nothing.
        """
        for part in parts(drafts):
            places = self.forms.places(client, {draft.index for draft in part})
            refused = bulk.deliver(client, [bulk.write(places[each.index], each.trace_id, each.body) for each in part])
            if refused:
                self.forms.forget()
                raise Rejected(told(client, refused))
            progress()
