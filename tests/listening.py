"""Which tests listen: found out from their code, so that ``make test-fast`` can leave them out without a list.

A test listens when it, a fixture that it asks for, one of its parameters, or a helper of `tests` that any of these
names, names a simulator or a stand-in, serves by itself, or gives a command that starts a server. What is not seen this
way fails in the fast part, where nobody can listen; such a test is marked with ``@pytest.mark.listens``.
"""

from __future__ import annotations

import functools
import inspect
import socket
import socketserver
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest

from harvesters.simulators.base import Simulator
from harvesters.standins.base import StandIn

_SERVERS = (Simulator, StandIn, socketserver.BaseServer)
_SERVES = {"create_server", "free_port", "free_ports", "listen", "serve_forever"}
_CLUSTER = {"elasticsearch_server", "elasticsearch_url"}
_COMMANDS = {"--embedded", "demo", "simulate"}


def listens(item: pytest.Item) -> bool:
    """Whether the test starts a server, or uses one that a fixture started."""
    if item.get_closest_marker("listens") is not None:
        return True
    fixtures = functools.partial(_fixtures, item)
    function: Any = getattr(item, "function", None)
    asked: tuple[str, ...] = tuple(getattr(item, "fixturenames", ()))
    called: Any = getattr(item, "callspec", None)
    values = [*called.params.values()] if called is not None else []
    key = function, asked  # the same for each of its parameters
    if key not in _found:
        _found[key] = _Search(fixtures).any([function, *(each for name in asked for each in fixtures(name))])
    named = [each for name in values if isinstance(name, str) for each in fixtures(name)]  # it may name a fixture
    return _found[key] or _Search(fixtures).any([*values, *named])


_found: dict[tuple[object, tuple[str, ...]], bool] = {}


def asks_the_cluster(item: pytest.Item) -> bool:
    """Whether the test asks for the test run's cluster, by a fixture or where it looks for one by name."""
    asked: tuple[str, ...] = tuple(getattr(item, "fixturenames", ()))
    if _CLUSTER & {*asked}:
        return True
    key = getattr(item, "function", None), asked
    if key not in _asking:
        fixtures = functools.partial(_fixtures, item)
        functions = [each for name in asked for each in fixtures(name)]
        _asking[key] = any(_names_the_cluster(each) for each in functions)
    return _asking[key]


def _names_the_cluster(thing: object, depth: int = 3) -> bool:
    """Whether a fixture, or a helper that it calls, gives the name of a cluster's fixture to ``getfixturevalue``."""
    function: Any = inspect.unwrap(thing) if callable(thing) else thing
    if not isinstance(function, FunctionType) or not _ours(function):
        return False
    if _CLUSTER & _texts(function.__code__):
        return True
    helpers = [function.__globals__.get(name) for name in _names(function.__code__)]
    return depth > 0 and any(_names_the_cluster(each, depth - 1) for each in helpers)


_asking: dict[tuple[object, tuple[str, ...]], bool] = {}


def forbid_listening(patch: pytest.MonkeyPatch) -> None:
    """From now on who listens fails the test, and says what to do."""

    def refuse(self: socket.socket, *arguments: object) -> None:
        pytest.fail("this test listens: mark it with @pytest.mark.listens, so that `make test-fast` leaves it out")

    for method in ("bind", "listen"):
        patch.setattr(socket.socket, method, refuse)


class _Search:
    """One walk through functions and classes of ours; `fixtures` gives the functions behind a fixture's name."""

    def __init__(self, fixtures: Callable[[str], Iterator[object]]) -> None:
        self._fixtures = fixtures
        self._seen: set[int] = set()

    def any(self, things: list[Any]) -> bool:
        return any(self._starts(thing) for thing in things)

    def _starts(self, thing: Any) -> bool:
        if isinstance(thing, functools.partial | MethodType):
            thing = thing.func if isinstance(thing, functools.partial) else thing.__func__
        thing = _unwrapped(thing) if isinstance(thing, FunctionType) else thing
        if not isinstance(thing, type | FunctionType) or id(thing) in self._seen:
            return False
        self._seen.add(id(thing))
        if isinstance(thing, type):
            return issubclass(thing, _SERVERS) or (_ours(thing) and self.any([*vars(thing).values()]))
        if not _ours(thing):
            return False
        if _SERVES & _names(thing.__code__) or _COMMANDS & _texts(thing.__code__):
            return True
        return self.any([*self._named(thing)])

    def _named(self, function: FunctionType) -> Iterator[object]:
        """What the function names, as far as that is known before it runs: globals, attributes of modules, fixtures."""
        names = _names(function.__code__)
        for name in names:
            known = function.__globals__.get(name)
            if isinstance(known, ModuleType):
                yield from (vars(known)[attribute] for attribute in names if attribute in vars(known))
            elif known is not None:
                yield known
        if "getfixturevalue" in names:
            for text in _texts(function.__code__):
                yield from self._fixtures(text)


def _fixtures(item: pytest.Item, name: str, above: frozenset[str] = frozenset()) -> Iterator[object]:
    """The functions of the fixture, and of those that it asks for."""
    manager: Any = item.session._fixturemanager
    for definition in manager.getfixturedefs(name, item) or ():
        yield definition.func
        for asked in {*definition.argnames} - above - {name}:
            yield from _fixtures(item, asked, above | {name})


def _unwrapped(function: FunctionType) -> object:
    """The test itself, where Hypothesis or another decorator stands around it."""
    return inspect.unwrap(getattr(getattr(function, "hypothesis", None), "inner_test", function))


def _ours(thing: type | FunctionType) -> bool:
    return thing.__module__.split(".")[0] in ("tests", "benchmarks")


@functools.cache
def _names(code: CodeType) -> frozenset[str]:
    return frozenset(code.co_names).union(*map(_names, _inner(code)))


@functools.cache
def _texts(code: CodeType) -> frozenset[str]:
    words = [constant if isinstance(constant, tuple) else (constant,) for constant in code.co_consts]
    own = {text for group in words for text in group if isinstance(text, str)}
    return frozenset(own).union(*map(_texts, _inner(code)))


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))
