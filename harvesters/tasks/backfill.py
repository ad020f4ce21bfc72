"""Windows of back-fills as tasks: each calls `operate.errand`."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harvesters.errors import HarvestError, Interrupted, RaceLost
from harvesters.operate.errand import Errand, Verdict, Worker, window_of
from harvesters.retry import RetryPolicy, Transient
from harvesters.settings import Settings
from harvesters.timespan import Window

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)

TASK = "harvest.backfill"
_QUEUE = "harvest"
_PAUSE = 1.0  # seconds after which a window that somebody else is at is asked about again
_PING = 2.0  # seconds in which a worker answers


def register(app: Celery, settings: Settings, stopping: Callable[[], bool]) -> None:
    """Let `app` do windows."""
    from celery import signals

    worker = Worker(settings, stopping, lambda errand, code, why: _refuse(app, errand, code, why))
    signals.worker_process_shutdown.connect(lambda **named: worker.close(), weak=False)

    @app.task(name=TASK, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def backfill(task: Any, **told: Any) -> None:
        """One window. One that is not done stays one task: it goes to the end of the line."""
        from celery.exceptions import Reject

        try:
            verdict = worker.do(Errand.read(told))
        except (Interrupted, RaceLost):
            verdict = Verdict.LATER
        except HarvestError as error:
            log.warning("%s is tried again: %s", told.get("window"), error)
            verdict = Verdict.LATER
        if verdict is Verdict.OVER:
            return
        if stopping() or verdict is Verdict.BACK:
            raise Reject("given back", requeue=True)
        time.sleep(_PAUSE)  # a countdown would have it wait in this worker, also while another one is idle
        raise task.retry(countdown=0)


def _refuse(app: Celery, errand: Errand, code: int, why: str) -> None:
    with app.connection_for_write() as connection, _line(connection, errand.id) as line:
        line.put({"window": errand.window, "code": int(code), "why": why}, serializer="json")


def _line(connection: Any, id: str) -> Any:
    """Where the command hears of windows that workers refused."""
    return connection.SimpleQueue(f"{_QUEUE}.refused.{id}", serializer="json")


@dataclass
class TaskQueue:
    """Errands in the queue of our workers; fulfils `operate.dispatch.ErrandQueue`."""

    app: Celery
    retry: RetryPolicy

    def send(self, errands: list[Errand]) -> None:
        """One task each."""
        left = list(reversed(errands))

        def publish() -> None:
            with self.app.connection_for_write() as connection, self.app.amqp.Producer(connection) as producer:
                while left:
                    self.app.send_task(
                        TASK, kwargs=left[-1].told(), queue=_QUEUE, producer=producer, retry=False, ignore_result=True
                    )
                    left.pop()

        self._call(publish)

    def refusals(self, id: str) -> Iterator[tuple[Window, int, str]]:
        """What is in that line."""
        found: list[tuple[Window, int, str]] = []

        def receive() -> None:
            with self.app.connection_for_read() as connection, _line(connection, id) as line:
                while True:
                    try:
                        message = line.get_nowait()
                    except queue.Empty:
                        return
                    told = message.payload
                    found.append((window_of(told["window"]), int(told["code"]), str(told["why"])))
                    message.ack()

        self._call(receive)
        yield from found

    def waiting(self) -> int:
        """The queue's length."""
        found: list[int] = []

        def ask() -> None:
            with self.app.connection_for_read() as connection:
                found.append(connection.default_channel.queue_declare(_QUEUE, durable=True).message_count)

        self._call(ask)
        return found[-1]

    def anybody(self) -> bool:
        """Whether a worker answers."""
        answers: list[bool] = []
        self._call(lambda: answers.append(bool(self.app.control.ping(timeout=_PING, limit=1))))
        return answers[-1]

    def _call(self, do: Callable[[], Any]) -> None:
        from harvesters.tasks.app import described, named, troubles

        def attempt() -> None:
            try:
                do()
            except troubles(self.app) as error:
                raise Transient(described(error)) from error

        self.retry.call(attempt, f"the broker {named(self.app)}")
