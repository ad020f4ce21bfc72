"""Analytics of messages as tasks, under the names that they had in the former service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from harvesters.errors import Unavailable
from harvesters.operate.analytics import Analytics
from harvesters.settings import Settings
from harvesters.tasks.ledger import Ledger, Sent
from harvesters.tasks.waiting import Patience

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)

QUEUE = "messages"
UPDATE = "tasks.update_analytic"
UPDATE_ALL = "tasks.update_analytics"
UPDATE_FIXED = "tasks.update_not_concluded_fixed_time_window_analytics"


def register(app: Celery, settings: Settings, ledger: Ledger, stopping: Callable[[], bool], visible: float) -> None:
    """Let `app` compute analytics.

    Args:
        visible: seconds after which a message that a worker has comes back.
    """
    from celery import signals

    analytics = Analytics(settings, stopping, visible)
    patience = Patience(ledger, visible / 2)

    def close(**named: Any) -> None:
        analytics.close()
        ledger.close()

    def failed(task_id: str = "", **named: Any) -> None:  # by a bug, or for arguments that are none
        ledger.over(task_id)

    signals.worker_process_shutdown.connect(close, weak=False)
    signals.task_failure.connect(failed, weak=False)

    def queue_each(task: Any, ids: Callable[[], Iterable[str]]) -> None:
        """A task for each. Done a second time it makes the same ones, which are done once."""
        patience.run(task, lambda: send(app, [(UPDATE, [id], f"{task.request.id}.{id}") for id in ids()]))

    @app.task(name=UPDATE, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def update_analytic(task: Any, analytic_id: str) -> None:
        """Compute one now."""
        patience.run(task, lambda: analytics.compute(str(analytic_id)))

    @app.task(name=UPDATE_ALL, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def update_analytics(task: Any, time_window_type: str | None = None) -> None:
        """Queue all, or those with that type of window."""
        wanted = str(time_window_type).lower() if time_window_type is not None else None
        queue_each(task, lambda: analytics.ids(wanted))

    @app.task(name=UPDATE_FIXED, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def update_not_concluded_fixed_time_window_analytics(task: Any) -> None:
        """Queue those with a fixed window whose result is not there, or may still change."""
        queue_each(task, analytics.unfinished)


def send(app: Celery, tasks: Iterable[tuple[str, list[Any], str]]) -> None:
    """Queue tasks: name, arguments and id of each.

    Raises:
        Unavailable: the broker does not answer.
    """
    _publish(app, [Sent(id, name, arguments, {}, {}) for name, arguments, id in tasks])


def send_lost(app: Celery, silent: float) -> None:
    """Queue once more what was lost on its way to a worker.

    Args:
        silent: seconds for which nobody has begun it.

    Raises:
        Unavailable: the broker does not answer.
    """
    lost = app.harvest_ledger.lost(QUEUE, silent)
    if lost:
        log.warning("%d tasks were lost on their way to a worker, and are queued again", len(lost))
        _publish(app, lost)


def _publish(app: Celery, messages: list[Sent]) -> None:
    from harvesters.tasks.app import described, named, troubles

    app.harvest_ledger.write(*messages)
    try:
        with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
            for one in messages:
                app.send_task(
                    one.name, one.arguments, one.keywords, task_id=one.id, headers=one.headers, queue=QUEUE,
                    producer=producer, retry=False,
                )  # fmt: skip
    except troubles(app) as error:
        raise Unavailable(f"the broker {named(app)}: {described(error)}") from error
