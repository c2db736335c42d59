"""What an endpoint is, and the request that it becomes: checked and encoded, or not sent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.users import USER

from fanvue_async import FanvueClient, InvalidArgumentError
from fanvue_async.engine.operation import Operation

if TYPE_CHECKING:
    from yarl import URL

    from fanvue_async.testing import FakeFanvue

BASE = "https://api.example/prefix"
FOLDER = Operation[None](
    "GET", "/vault/{folderName}/of/{userUuid}", id="x", texts=("folderName",), commas=("variants",)
)
EAST = timezone(timedelta(hours=2))


def url_of(*values: object, **query: object) -> URL:
    """Make the address of a request as the engine does."""
    request = FOLDER.bind(values, query)
    return FanvueClient("token", base_url=BASE)._session.terms.pool.origin.url(request.target)


@settings(deadline=None, max_examples=300)
@given(
    name=st.text() | st.text("/.\\%2eE?#@:;& \n\u00fc\ud800") | st.integers(),
    key=st.text(min_size=1) | st.text("&=?#/ +%", min_size=1),
    value=st.text() | st.text("&=?#/ +%,\n\ud800") | st.integers() | st.booleans(),
)
def test_any_value_stays_where_it_belongs(name: Any, key: str, value: Any) -> None:
    """Below the template, percent-encoded, at the configured origin; or nothing is sent."""
    try:
        url = url_of(name, UUID(USER), **{key: value})
    except InvalidArgumentError:
        return
    split = urlsplit(str(url))
    *start, folder, of, user = split.path.split("/")
    assert (split.scheme, split.netloc, split.fragment) == ("https", "api.example", "")
    assert (start, unquote(folder), of, user) == (["", "prefix", "vault"], str(name), "of", USER)
    assert folder.strip(".")  # a segment of dots would be resolved away
    text = str(value).lower() if isinstance(value, bool) else str(value)
    assert parse_qsl(split.query, keep_blank_values=True, strict_parsing=True) == [(key, text)]


@pytest.mark.parametrize(
    ("name", "user", "words"),
    [
        ("", USER, "folder_name must be a str of 1 to 255 characters"),
        ("x" * 256, USER, "folder_name must be a str of 1 to 255 characters"),
        (None, USER, "folder_name must be a str of 1 to 255 characters"),
        (True, USER, "folder_name must be a str of 1 to 255 characters"),
        ("\ud800", USER, "folder_name must be valid Unicode"),
        ("x", f"+{USER[1:]}", "user_uuid must be a uuid.UUID or its text"),
        ("x", None, "user_uuid must be a uuid.UUID or its text"),
    ],
)
def test_a_value_that_no_path_can_hold_is_refused(name: Any, user: Any, words: str) -> None:
    """The sentence names the argument as Python has it, and the rule."""
    with pytest.raises(InvalidArgumentError, match=words):
        url_of(name, user)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, tzinfo=EAST), "2026-01-02T00:00:00.000%2B02:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (UUID(USER), USER),
        ([1, "a b"], "1,a%20b"),
        ([], None),
        (None, None),
        (..., None),
    ],
)
def test_a_query_is_written_as_the_api_reads_it(value: object, text: str | None) -> None:
    """Times with their zone, lists joined where the API joins them, nothing for nothing."""
    query = url_of("x", USER, variants=value).raw_query_string.replace("%3A", ":")
    assert query.replace("%2C", ",") == ("" if text is None else f"variants={text}")


async def test_a_time_without_a_zone_is_refused(client: FanvueClient, fake: FakeFanvue) -> None:
    """Nobody knows which moment it is, in the query and in the body."""
    naive = datetime(2026, 1, 2)  # noqa: DTZ001 - the point
    options: list[dict[str, Any]] = [{"params": {"since": naive}}, {"json": {"since": naive}}]
    for arguments in options:
        with pytest.raises(InvalidArgumentError, match=r"since.*datetime without a time zone"):
            await client.request("POST", "/things", **arguments)
    assert fake.requests == []
