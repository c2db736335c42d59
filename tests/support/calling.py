"""Calls of any method of the package, with an argument for everything that it takes."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, cast

from fanvue_async import ListSelection, UploadPart
from fanvue_async.paging import Listing
from support.samples import Sample, Samples
from support.users import user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanvue_async import FanvueClient
    from fanvue_async.operations import Row
    from support.judge import Declared

CREATOR = user(7)

# How a list is cut, and what is said about the call itself: not sent under these names.
_PAGING = {"start", "page_size"}
_ABOUT_THE_CALL = {"confirm"}

# What can't be made of the contract: objects that Python spells otherwise.
_LISTS = Sample(
    given=ListSelection(smart_list_uuids=["subscribers"], custom_list_uuids=[user(1)]),
    wire={"smartListUuids": ["subscribers"], "customListUuids": [user(1)]},
)
SPECIAL: Mapping[tuple[str, str], Sample] = {
    ("mass_messages.send", "included_lists"): _LISTS,
    ("mass_messages.send", "excluded_lists"): _LISTS,
    ("mass_messages.update", "included_lists"): _LISTS,
    ("mass_messages.update", "excluded_lists"): _LISTS,
    ("media.complete_upload", "parts"): Sample(
        given=[UploadPart(2, "two"), UploadPart(1, "one")],
        wire=[{"PartNumber": 1, "ETag": "one"}, {"PartNumber": 2, "ETag": "two"}],
    ),
}


def snake(name: str) -> str:
    """Write a name of the API as Python does."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def method_of(client: FanvueClient, row: Row) -> Any:
    """Find the method of a row of the table."""
    target: Any = client
    names = row.coroutine.split(".")
    if names[0] == "creator":
        target, names = client.creator(CREATOR), names[1:]
    for name in names:
        target = getattr(target, name)
    return target


def arguments(method: Any, row: Row, declared: Declared) -> tuple[dict[str, Sample], set[str]]:
    """Make an argument for each parameter of a method, by its Python name.

    Returns:
        The arguments, and the names that the API has for those in query and body.

    """
    samples = Samples()
    path = [
        one for one in declared.parameters if one.place == "path" and one.name != "creatorUserUuid"
    ]
    parts = {one.name: one.schema for one in declared.parameters if one.place == "query"}
    parts |= declared.fields
    by_python_name = {snake(name): name for name in parts}
    given: dict[str, Sample] = {}
    sent: set[str] = set()
    for name in inspect.signature(method).parameters:
        if name in _PAGING | _ABOUT_THE_CALL:
            continue
        if path:
            given[name] = samples.argument(path.pop(0).schema)
        elif name in by_python_name:
            api_name = by_python_name[name]
            special = SPECIAL.get((row.coroutine.removeprefix("creator."), name))
            given[name] = special or samples.argument(parts[api_name])
            sent.add(api_name)
        else:
            raise AssertionError(f"{row.coroutine}: the API has no {name}")
    return given, sent


async def call(method: Any, given: Mapping[str, Sample]) -> Any:
    """Call a method; of a list, read all pages and give their items."""
    result = method(**{name: sample.given for name, sample in given.items()})
    if isinstance(result, Listing):
        listing = cast("Listing[Any]", result)
        return [item async for page in listing.pages() for item in page.items]
    return await result
