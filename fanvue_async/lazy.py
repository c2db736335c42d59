"""Names that are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def lazily(namespace: dict[str, Any], modules: Mapping[str, str]) -> Callable[[str], object]:
    """Make a module's ``__getattr__``.

    Args:
        namespace: the module's own ``globals()``, where each name stays once it was asked for.
        modules: where each of the names is.

    """

    def __getattr__(name: str) -> object:  # noqa: N807 - what it becomes
        if name not in modules:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - a program may never need it

        value = namespace[name] = getattr(import_module(modules[name]), name)
        return value

    return __getattr__
