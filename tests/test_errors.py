"""The tree of errors: what each of them is, holds and says."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import aiohttp.http_exceptions
import attrs
import pytest

from fanvue_async import errors

if TYPE_CHECKING:
    from collections.abc import Callable

_E = TypeVar("_E", bound=errors.FanvueError)

# A value for every field of every error, none of them the default.
_VALUES: dict[str, Any] = {
    "message": "what happened",
    "operation": "POST /chats",
    "attempts": 3,
    "maybe_processed": True,
    "cause": "ClientOSError: [Errno 104] Connection reset by peer",
    "status": 418,
    "body": {"message": ["ü", 1, None, {"deep": True}]},
    "retry_after": 2.5,
    "rate_limit": errors.RateLimit(200, 7, datetime(2026, 1, 2, tzinfo=UTC)),
    "request_id": "abc-123",
    "headers": {"X-Request-Id": "abc-123"},
    "transient": False,
    "looked_for": True,
    "from_api": False,
    "error": "access_denied",
    "error_description": "the user said no",
    "account": "anna",
    "errors": ("userUuid is required", "and more"),
    "next_version": "2027-01-01",
}


def _tree(base: type[errors.FanvueError]) -> list[type[errors.FanvueError]]:
    below = [cls for child in base.__subclasses__() for cls in _tree(child)]
    return [base, *(cls for cls in below if cls.__module__ == errors.__name__)]


ALL = _tree(errors.FanvueError)
every_error = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)


@pytest.mark.parametrize("page", ["README.md", "docs/errors.md", "errors.py"])
def test_the_tree_is_drawn_whole(page: str) -> None:
    """Wherever it is drawn, no class is missing and none is there that is not."""
    path = Path(errors.__file__) if page == "errors.py" else Path(__file__).parents[1] / page
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "── " in line]
    drawn = re.findall(r"\b(\w+Error)\b(?!\))", "\n".join(lines))  # bases are in brackets
    assert sorted(drawn) == sorted(cls.__name__ for cls in ALL[1:])


def _filled(cls: type[_E]) -> _E:
    error = cls(**{name: _VALUES[name] for name in attrs.fields_dict(cls)})
    error.add_note("seen in a test")
    return error


def _is_same(error: errors.FanvueError, other: errors.FanvueError) -> bool:
    return (
        type(error) is type(other)
        and vars(error) == vars(other)
        and error.args == other.args
        and str(error) == str(other)
        and repr(error) == repr(other)
    )


class _Pickled:
    """Pickles as what ``reduced`` says, such as an error of another version would."""

    def __init__(self, reduced: tuple[Callable[..., Any], tuple[Any, ...]]) -> None:
        self._reduced = reduced

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._reduced


def _unpickled(value: object, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


# What every error is


@every_error
def test_values_of_this_test_are_no_defaults(cls: type[errors.FanvueError]) -> None:
    """Whoever adds a field adds a value above, or the tests below would not see the field."""
    default, filled = cls(), _filled(cls)

    assert all(getattr(default, name) != getattr(filled, name) for name in attrs.fields_dict(cls))


def test_an_error_that_was_told_nothing_claims_nothing() -> None:
    """The defaults of the fields are what is true when nothing is known."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("operation", "cause", "body", "retry_after", "rate_limit", "request_id")
    )
    nothing |= {"message": "", "attempts": 0, "maybe_processed": False, "looked_for": False}
    nothing |= {"from_api": True, "status": 0, "headers": {}}
    assert vars(errors.APIError()) == nothing
    assert vars(errors.InvalidRequestError()) == nothing | {"errors": ()}
    assert vars(errors.VersionSunsetError()) == nothing | {"next_version": None}


@every_error
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_pickles(cls: type[errors.FanvueError], protocol: int) -> None:
    """An error crosses process boundaries with all that it says, its notes included."""
    error = _filled(cls)

    assert _is_same(_unpickled(error, protocol), error)


@every_error
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_every_error_copies(
    cls: type[errors.FanvueError], copied: Callable[[errors.FanvueError], errors.FanvueError]
) -> None:
    """A copy is another object that says the same."""
    error = _filled(cls)

    assert copied(error) is not error
    assert _is_same(copied(error), error)


@every_error
def test_a_pickle_of_an_older_version_loads(cls: type[errors.FanvueError]) -> None:
    """A field that the pickle does not know yet has its default."""
    for name, field in attrs.fields_dict(cls).items():
        rebuild, (_, state) = _filled(cls).__reduce__()
        del state[name]
        loaded = _unpickled(_Pickled((rebuild, (cls, state))))

        assert type(loaded) is cls
        assert getattr(loaded, name) == getattr(cls(), name), field
        assert {**vars(loaded), name: _VALUES[name]} == vars(_filled(cls))


@every_error
def test_a_pickle_of_a_newer_version_loads(cls: type[errors.FanvueError]) -> None:
    """A field that this version does not know is kept and breaks nothing."""
    rebuild, (_, state) = _filled(cls).__reduce__()
    loaded = _unpickled(_Pickled((rebuild, (cls, {**state, "from_the_future": [1]}))))

    assert loaded.from_the_future == [1]
    assert str(loaded) == str(_filled(cls))
    assert vars(_unpickled(loaded)) == vars(loaded)


@every_error
def test_fields_are_given_by_keyword(cls: type[errors.FanvueError]) -> None:
    """All but the message: no order is promised, so a later version may add some anywhere."""
    message, *fields = inspect.signature(cls).parameters.values()

    assert (message.name, message.kind) == ("message", message.POSITIONAL_OR_KEYWORD)
    assert {field.kind for field in fields} == {inspect.Parameter.KEYWORD_ONLY}


@every_error
def test_args_rebuild_the_class_and_the_sentence(cls: type[errors.FanvueError]) -> None:
    """Task queues and the like that keep ``args`` alone can make the error again."""
    error = _filled(cls)

    assert error.args == ("what happened",)
    assert cls(*error.args).message == error.message


@every_error
def test_errors_compare_and_hash_by_identity(cls: type[errors.FanvueError]) -> None:
    """Exceptions are kept in sets by whatever handles them, whatever their fields hold."""
    error = _filled(cls)

    assert len({error, error, _filled(cls)}) == 2
    assert error != _filled(cls)


def _exceptions_of(module: object) -> set[type]:
    found = [value for value in vars(module).values() if isinstance(value, type)]
    return {cls for cls in found if issubclass(cls, BaseException)}


def test_no_error_is_one_of_aiohttp() -> None:
    """Code that handles our errors needs no aiohttp, and `except aiohttp.ClientError` none."""
    foreign = _exceptions_of(aiohttp) | _exceptions_of(aiohttp.http_exceptions)
    assert len(foreign) > 30

    assert [cls for cls in ALL if foreign & set(cls.__mro__)] == []
    assert [cls for cls in foreign if issubclass(cls, errors.FanvueError)] == []


# What str() says


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.FanvueError(), "FanvueError"),
        (errors.ConfigurationError("total must be a number"), "total must be a number"),
        (errors.NotSentError(operation="GET /x"), "GET /x: NotSentError"),
        (errors.NotSentError("not sent", attempts=1), "not sent"),
        (errors.NotSentError("not sent", attempts=2), "not sent, after 2 attempts"),
        (errors.NotSentError("not sent", cause="OSError"), "not sent (OSError)"),
        (
            errors.NoAnswerError("lost", maybe_processed=True),
            "lost; it may already have been processed",
        ),
        (
            errors.APIError("short and stout", status=418),
            "418 I'm a Teapot: short and stout",
        ),
        (errors.ServerError(status=520), "520"),
        (errors.ServerError(status=503), "503 Service Unavailable"),
        (errors.ServerError("so it is", status=599), "599: so it is"),
        (
            _filled(errors.TransportError),
            (
                "POST /chats: what happened (ClientOSError: [Errno 104] Connection reset by peer)"
                ", after 3 attempts; it may already have been processed"
                ", but was not found afterwards"
            ),
        ),
    ],
)
def test_str_is_a_sentence(error: errors.FanvueError, text: str) -> None:
    """One line says which call, what happened, why, how often, and whether it may have acted."""
    assert str(error) == text
