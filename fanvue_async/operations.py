"""The table of operations, read off the resources: what is called, and by which coroutine."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import attrs

from fanvue_async import resources
from fanvue_async.client import CreatorClient
from fanvue_async.engine.operation import CREATOR, Operation
from fanvue_async.resources._resource import Resource


@attrs.frozen(kw_only=True)
class Row:
    """An operation of the API, and the coroutine that calls it."""

    id: str
    """The ``operationId`` of its documentation."""
    method: str
    path: str
    """With the API's names of its parameters."""
    scopes: tuple[str, ...]
    coroutine: str
    """``chats.list`` is ``client.chats.list``; ``creator.chats.list`` is
    ``client.creator(uuid).chats.list``."""
    assumed: bool
    """Whether the official documentation lacks it, while other programs use it."""


def operations() -> tuple[Row, ...]:
    """List every operation that this package has a method for, ordered by noun.

    This imports all nouns.
    """
    return tuple(row for noun in _nouns() for row in _rows(noun))


def _nouns() -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(resources.__path__):
        if not module.name.startswith("_"):
            yield import_module(f"{resources.__name__}.{module.name}")


def _rows(noun: ModuleType) -> Iterator[Row]:
    """Read the operations of a noun off its constants, and their coroutines off its methods."""
    constants = {
        name: cast("Operation[Any]", value)
        for name, value in vars(noun).items()
        if isinstance(value, Operation)
    }
    methods = _methods(noun)
    for name, operation in constants.items():
        coroutine = _caller(name, methods, constants)
        if operation.path.startswith(CREATOR):
            yield _row(operation, operation.id, "", operation.scopes, f"creator.{coroutine}")
            continue
        yield _row(operation, operation.id, "", operation.scopes, coroutine)
        if operation.creator_id:
            scopes = operation.creator_scopes
            yield _row(operation, operation.creator_id, CREATOR, scopes, f"creator.{coroutine}")


def _row(
    operation: Operation[Any], id_: str, prefix: str, scopes: tuple[str, ...], coroutine: str
) -> Row:
    return Row(
        id=id_,
        method=operation.method,
        path=prefix + operation.path,
        scopes=scopes,
        coroutine=coroutine,
        assumed=operation.assumed,
    )


def _methods(noun: ModuleType) -> dict[str, set[str]]:
    """Return the names that each public method of a noun uses, by ``noun.method``."""
    prefix = noun.__name__.rpartition(".")[2]
    owners = [
        (f"{prefix}.", value)
        for value in vars(noun).values()
        if isinstance(value, type)
        and issubclass(value, Resource)
        and value.__module__ == noun.__name__
    ]
    return {
        place + name: set(_names(function.__code__))
        for place, owner in [*owners, ("", CreatorClient)]
        for name, function in vars(owner).items()
        if isinstance(function, FunctionType) and not name.startswith("_")
    }


def _names(code: CodeType) -> Iterator[str]:
    """Return the names that a function uses, those in its lambdas and inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            yield from _names(constant)


def _caller(constant: str, methods: dict[str, set[str]], constants: dict[str, Any]) -> str:
    """Find the method that calls an operation: of several, the one that calls fewest others."""
    using = [name for name, names in methods.items() if constant in names]
    return min(using, key=lambda name: len(methods[name] & constants.keys()))
