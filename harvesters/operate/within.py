"""Questions to several places at once, of which none may be waited for any longer than is said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from harvesters.errors import Unavailable

T = TypeVar("T")


class Answer(Generic[T]):
    """What came of one question: `get` returns it, or raises what went wrong."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._value: list[T] = []
        self._error: Exception = Unavailable("no answer in time")

    def get(self) -> T:
        """The answer.

        Raises:
            Unavailable: there was none in time.
            Exception: what the question raised.
        """
        if not self._done.is_set() or not self._value:
            raise self._error
        return self._value[0]

    def ask(self, question: Callable[[], T]) -> None:
        """Ask, and keep what comes of it."""
        try:
            self._value.append(question())
        except Exception as error:
            self._error = error
        finally:
            self._done.set()

    def wait(self, seconds: float) -> None:
        """Wait until there is one, so long at most."""
        self._done.wait(seconds)


def ask_within(seconds: float, questions: Mapping[str, Callable[[], T]]) -> dict[str, Answer[T]]:
    """The answers, by the names of the questions, when all are there or the time is up. Threads that hang are left."""
    answers: dict[str, Answer[T]] = {}
    for name, question in questions.items():
        answers[name] = answer = Answer[T]()
        threading.Thread(target=answer.ask, args=(question,), name=f"ask {name}", daemon=True).start()
    until = time.monotonic() + seconds
    for answer in answers.values():
        answer.wait(max(0.0, until - time.monotonic()))
    return answers
