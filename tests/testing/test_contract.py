"""The fake against the contract: every operation is there, and nothing undeclared is answered."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.calling import arguments, call, method_of
from support.judged import JUDGE, Judged
from support.samples import Samples
from support.users import user

from fanvue_async import BadRequestError, NotFoundError
from fanvue_async.operations import Row, operations

if TYPE_CHECKING:
    from support.judge import Declared

    from fanvue_async import FanvueClient
    from fanvue_async.testing import FakeFanvue

CREATOR = user(7)
# Nothing at all is declared for an upload of the own account that there is not.
_UNDECLARED = {"completeUploadSession", "getUploadPartUrl"}
# What is asked for here is about what is not there, and that is told as a 400.
_REFUSED = {"sendTypingIndicator", "updateChat", "sendMessage", "sendCreatorMessage"}
OPERATIONS = pytest.mark.parametrize(
    "of",
    [of for of in JUDGE.operations.values() if of.id not in _UNDECLARED],
    ids=lambda of: of.id,
)


def filled(of: Declared, **values: str) -> str:
    """Fill the parameters of a path."""
    samples = Samples()
    given = {
        one.name: str(samples.argument(one.schema).wire)
        for one in of.parameters
        if one.place == "path"
    }
    given |= {"creatorUserUuid": CREATOR, **values}
    return re.sub(r"\{(\w+)\}", lambda match: given[match[1]], of.path)


def query(of: Declared, *, all_of: bool) -> dict[str, Any]:
    """Make a query: all parameters, or what must be there."""
    samples = Samples()
    made: dict[str, Any] = {}
    for one in of.parameters:
        if one.place == "query" and (
            all_of or one.name in {"mediaUuids", "fanUuids", "consumerId"}
        ):
            value = samples.argument(one.schema).wire
            repeated = one.name in {"filter", "smartListIds"}
            made[one.name] = value if repeated or isinstance(value, str | int) else ",".join(value)
    made.pop("cursor", None)
    if {"startDate", "endDate"} <= {one.name for one in of.parameters}:
        made |= {"startDate": "2026-01-01T00:00:00.000Z", "endDate": "2026-02-01T00:00:00+02:00"}
    return made


def body(of: Declared) -> Any:
    """Make a body with all its fields."""
    return Samples().document(of.body) if of.body else None


@OPERATIONS
@pytest.mark.parametrize("all_of", [False, True])
async def test_every_operation_is_played(
    fake: FakeFanvue, own: Judged, of: Declared, *, all_of: bool
) -> None:
    """A documented request gets a declared answer, which is never "the fake does not know it"."""
    fake.creators.add(CREATOR)
    answer = await own.send(of.method, filled(of), body(of), query(of, all_of=all_of))

    assert b"fake.reply" not in answer.content
    assert answer.status in ({400} if of.id in _REFUSED else {200, 201, 204, 404})


@OPERATIONS
async def test_the_scopes_are_those_of_the_contract(
    fake: FakeFanvue, own: Judged, of: Declared
) -> None:
    """Without any one of its scopes an operation is a 403; with exactly those it is not."""
    fake.creators.add(CREATOR)
    fake.add_token("exact", scopes=of.scopes)
    own.token = "exact"
    answer = await own.send(of.method, filled(of), body(of), query(of, all_of=False))
    assert answer.status != 403
    for scope in of.scopes:
        fake.add_token("less", scopes=set(of.scopes) - {scope})
        own.token = "less"
        answer = await own.send(of.method, filled(of), body(of))
        assert answer.status == 403
        assert scope in answer.json()["error"]


@OPERATIONS
async def test_what_is_wrong_is_told_as_declared(
    fake: FakeFanvue, own: Judged, of: Declared
) -> None:
    """A broken id, an unknown field, no object, a page of 51 are 400 of the right shape."""
    fake.creators.add(CREATOR)
    uuids = [one.name for one in of.parameters if one.schema.get("format") == "uuid"]
    for name in uuids:
        if f"{{{name}}}" in of.path:
            answer = await own.send(of.method, filled(of, **{name: "no-uuid"}), body(of))
            assert answer.status == (400 if "400" in of.responses else 404)
    if of.body and "400" in of.responses:
        wrongs: list[Any] = [{**body(of), "further": 1}, [], "text"]
        for wrong in wrongs:
            answer = await own.send(of.method, filled(of), wrong)
            assert answer.status == 400
    if any(one.name == "size" for one in of.parameters):
        wrong_page = {**query(of, all_of=False), "size": 51}
        answer = await own.send(of.method, filled(of), query=wrong_page)
        assert answer.status == 400
        assert "size must be at most 50" in answer.json()["errors"]


@pytest.mark.parametrize(
    "of", [of for of in JUDGE.operations.values() if "404" in of.responses], ids=lambda of: of.id
)
async def test_an_unknown_creator_is_not_found(own: Judged, of: Declared) -> None:
    """Nobody acts for a creator who was not added."""
    if "creatorUserUuid" in of.path:
        answer = await own.send(of.method, filled(of), body(of), query(of, all_of=False))
        assert answer.status == 404
        assert answer.json() == {"message": "Creator not found"}


async def test_what_is_for_agencies_is_not_for_creators(fake: FakeFanvue, own: Judged) -> None:
    """A creator's own token has no agency behind it."""
    fake.add_token("anna", user=fake.creators.add())
    own.token = "anna"

    assert (await own.send("GET", "/agencies/team-members")).status == 403
    assert (await own.send("GET", "/creators")).status == 403


@pytest.mark.parametrize("row", operations(), ids=lambda row: row.id)
async def test_every_method_of_the_client_gets_through(
    fake: FakeFanvue, client: FanvueClient, row: Row
) -> None:
    """What the package sends, with all that it can send, the fake takes: 404 is the worst."""
    fake.creators.add(CREATOR)
    method = method_of(client, row)
    given, _ = arguments(method, row, JUDGE.operations[row.id])
    refused = BadRequestError if row.id in _REFUSED else NotFoundError
    with suppress(NotFoundError, refused):
        await call(method, given)
