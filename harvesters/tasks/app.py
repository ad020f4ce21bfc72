"""The Celery application of this process, and its tasks."""

from __future__ import annotations

import logging
import mmap
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from harvesters import sentry, telemetry
from harvesters.clock import SystemClock
from harvesters.errors import ConfigError, Exit, Unavailable
from harvesters.privacy import protect, redact
from harvesters.retry import RetryPolicy, Transient
from harvesters.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)

QUEUES = ("harvest", "messages")
"""All of ours; a worker serves them all unless it is told which."""

_RESTORE = 2.0  # seconds between two looks for tasks of workers that were killed
_MUTEX = 3  # seconds after which another worker may look, when one was killed while it did
_SOCKET = 10.0  # seconds for one answer of the broker
_PING = 5.0  # seconds between two looks at whether it is there


class Stopping:
    """Whether the worker is told to stop, on a page of memory that its processes see."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 1)

    def __call__(self) -> bool:
        return self._page[0] != 0

    def set(self) -> None:
        """It is."""
        self._page[0] = 1


def require_celery() -> None:
    """See that the extra is installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import celery  # noqa: F401
    except ImportError as error:
        raise ConfigError("Celery is not installed; install it with: pip install 'harvest[celery]'") from error


def broker_url(settings: Settings) -> str:
    """``CELERY_BROKER_URL``, or else ``REDIS_URL``."""
    url = settings.get("CELERY_BROKER_URL") or settings.get("REDIS_URL")
    protect([url.partition("://")[2].rpartition("@")[0].partition(":")[2]])
    return url


def _known(url: str) -> str:
    """`url`, of which there is a transport.

    Raises:
        ConfigError: there is none.
    """
    from kombu.connection import Connection

    try:
        Connection(url).get_transport_cls()
    except (LookupError, ValueError, ImportError) as error:
        raise ConfigError(redact(f"CELERY_BROKER_URL is no broker that Celery can use: {error}")) from error
    return url


def visibility(settings: Settings) -> float:
    """Seconds after which a killed worker's task comes back."""
    given = settings.optional_number("CELERY_VISIBILITY_TIMEOUT", minimum=1)
    return given if given is not None else 2 * settings.number("HARVEST_LEASE_TTL", minimum=1)


def make_app(settings: Settings) -> Celery:
    """The application by those settings; its tasks do what they are told by them, too."""
    require_celery()
    from celery import Celery, signals
    from kombu.entity import Queue

    from harvesters.tasks import backfill, messages
    from harvesters.tasks.ledger import ledger_of

    app = Celery("harvest", broker=_known(broker_url(settings)), set_as_current=False)
    app.harvest_settings = settings  # for the scheduler, which Celery makes
    app.harvest_ledger = ledger_of(broker_url(settings))
    # A task is looked for when its time is over, and every so many seconds: the first is shortened by the second.
    comes_back = max(1.0, visibility(settings) - 2 * _RESTORE)
    app.conf.update(
        task_queues=[Queue(name) for name in QUEUES],
        task_default_queue=QUEUES[0],
        task_routes={"tasks.*": {"queue": messages.QUEUE}},
        task_serializer="json",
        accept_content=["json"],  # pickle from a broker is code that anybody may send
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # tasks must not wait in a worker that is busy
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_proc_alive_timeout=60.0,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # `_Watch` has a limit
        beat_scheduler="harvesters.tasks.beat:Scheduler",
        broker_transport_options={
            "visibility_timeout": comes_back,
            "unacked_restore_interval": min(_RESTORE, comes_back / 2),
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": _MUTEX,
            "socket_timeout": _SOCKET,
            "socket_connect_timeout": _SOCKET,
        },
    )
    stopping = Stopping()
    backfill.register(app, settings, stopping)
    messages.register(app, settings, app.harvest_ledger, stopping, comes_back)
    watch = _Watch(app, settings.number("HARVEST_RETRY_BUDGET"), stopping, comes_back)
    app.steps["worker"].add(_watching(watch))
    signals.worker_process_shutdown.connect(lambda **named: sentry.finish(), weak=False)
    signals.worker_shutting_down.connect(lambda **named: stopping.set(), weak=False)
    signals.setup_logging.connect(partial(_log_as_we_do, settings), weak=False)
    return app


def reach(app: Celery, retry: RetryPolicy) -> None:
    """See that the broker answers.

    Raises:
        Unavailable: it does not, for as long as that is tried.
    """

    def ask() -> None:
        try:
            _ask(app)
        except troubles(app) as error:
            raise Transient(described(error)) from error

    retry.call(ask, f"the broker {named(app)}")


def run_worker(app: Celery, concurrency: int, queues: list[str], level: str) -> int:
    """Work until told to stop; the exit code.

    Raises:
        Unavailable: the broker was away for too long.
    """
    import os
    import socket

    from celery.worker import state

    worker: Any = app.Worker(
        concurrency=concurrency,
        pool="prefork",
        queues=queues,
        loglevel=level,
        hostname=f"harvest-{os.getpid()}@{socket.gethostname()}",
        quiet=True,  # standard output belongs to data
        without_gossip=True,
        without_mingle=True,
        optimization="fair",
    )
    state.should_stop = None
    worker.start()
    code = int(worker.exitcode or 0)
    if code == Exit.UNAVAILABLE:
        raise Unavailable(f"the broker {named(app)} was away for longer than HARVEST_RETRY_BUDGET")
    return code


@dataclass
class _Watch:
    """Ends a worker whose broker is away for longer than the budget: Celery itself would wait for ever.

    And queues again what was lost.
    """

    app: Celery
    budget: float
    stopping: Stopping
    visible: float

    def begin(self) -> None:
        """From now on. A process that is forked meanwhile would keep for ever the locks that the thread just has, such
        as that of a module that it imports."""
        from celery.worker import state

        from harvesters.tasks.messages import send_lost

        look = partial(self._look, state, send_lost)
        threading.Thread(target=look, name="broker", daemon=True).start()

    def _look(self, state: Any, send_lost: Callable[[Celery, float], None]) -> None:
        clock = SystemClock()
        while True:
            try:
                reach(self.app, RetryPolicy(clock, self.budget))
                with suppress(Unavailable):
                    send_lost(self.app, self.visible)
            except Unavailable as error:
                log.error("%s", error)
                self.stopping.set()
                state.should_stop = int(Exit.UNAVAILABLE)
                return
            clock.sleep(_PING)


def _watching(watch: _Watch) -> type[Any]:
    """The step of a worker's start that begins to watch: its processes are there by then, and its consumer is not."""
    from celery import bootsteps

    class Watching(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.components:Pool",)

        def start(self, parent: Any) -> None:
            watch.begin()

    return Watching


def _ask(app: Celery) -> None:
    with app.connection_for_read() as connection:
        connection.connect()
        connection.default_channel  # noqa: B018 - of Redis it is what asks the server


def troubles(app: Celery) -> tuple[type[BaseException], ...]:
    """What is raised when the broker does not answer."""
    from kombu.exceptions import OperationalError

    with app.connection_for_read() as connection:
        errors: tuple[type[BaseException], ...] = (*connection.connection_errors, *connection.channel_errors)
    return (OperationalError, OSError, *errors)


def described(error: BaseException) -> str:
    """What went wrong, secrets masked."""
    return redact(f"{type(error).__name__}: {error}")


def named(app: Celery) -> str:
    """The broker, for people."""
    return redact(str(app.connection_for_read().as_uri()))


def _log_as_we_do(settings: Settings, loglevel: Any = "INFO", **named: Any) -> None:
    """`celery -A` logs as `harvest.py` does, secrets masked; `harvest.py worker` has configured that already."""
    if not any(isinstance(one, telemetry.LineHandler) for one in logging.getLogger().handlers):
        telemetry.configure(loglevel if isinstance(loglevel, str) else logging.getLevelName(loglevel), "text")
        sentry.begin(settings, "celery")
