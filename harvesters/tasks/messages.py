"""Analytics of messages as tasks, under the names that they had in the former service."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from harvesters.errors import Unavailable
from harvesters.operate.analytics import Analytics
from harvesters.settings import Settings
from harvesters.tasks.ledger import ledger_of
from harvesters.tasks.waiting import Patience

if TYPE_CHECKING:
    from celery import Celery

QUEUE = "messages"
UPDATE = "tasks.update_analytic"
UPDATE_ALL = "tasks.update_analytics"
UPDATE_FIXED = "tasks.update_not_concluded_fixed_time_window_analytics"
MOVING = "moving"


def register(app: Celery, settings: Settings, url: str, stopping: Callable[[], bool], visible: float) -> None:
    """Let `app` compute analytics.

    Args:
        url: of the broker.
        visible: seconds after which a message that a worker has comes back.
    """
    from celery import signals

    analytics = Analytics(settings, stopping, visible)
    patience = Patience(ledger_of(url), visible / 2)

    def close(**named: Any) -> None:
        analytics.close()
        patience.ledger.close()

    signals.worker_process_shutdown.connect(close, weak=False)

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
    from harvesters.tasks.app import described, named, troubles

    try:
        with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
            for name, arguments, id in tasks:
                app.send_task(name, arguments, task_id=id, queue=QUEUE, producer=producer, retry=False)
    except troubles(app) as error:
        raise Unavailable(f"the broker {named(app)}: {described(error)}") from error
