"""The client, the fake server and the written contract, held against each other by openapi-core."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import yaml
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.responses.exceptions import ResponseNotFound
from openapi_core.validation.request.exceptions import (
    InvalidParameter,
    MissingRequiredParameter,
    MissingRequiredRequestBody,
    RequestBodyValidationError,
    SecurityValidationError,
)
from openapi_core.validation.response.exceptions import (
    DataValidationError,
    InvalidHeader,
    MissingData,
    MissingRequiredHeader,
)
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.by_hand import GOOD_BODY, Answer, changed, send
from support.judge import CONTRACT, Example, UndeclaredError, the_judge
from support.stages import Provider
from support.users import USER, user

from fanvue_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    CreatedChat,
    DecodeError,
    FanvueClient,
    NotContactableError,
    PermissionDeniedError,
    RateLimitError,
    UnsupportedVersionError,
    VersionSunsetError,
)
from fanvue_async.testing import FakeFanvue, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openapi_core.exceptions import OpenAPIError

JUDGE = the_judge()

RATE_LIMIT_HEADERS = {
    "X-RateLimit-Limit": "200",
    "X-RateLimit-Remaining": "199",
    "X-RateLimit-Reset": "1750939260",
}
DOCUMENTED = {
    "created": CreatedChat,
    "unsupportedVersion": UnsupportedVersionError,
    "notContactable": NotContactableError,
    "unauthorized": AuthenticationError,
    "forbidden": PermissionDeniedError,
    "sunset": VersionSunsetError,
    "withoutNextVersion": VersionSunsetError,
    "rateLimited": RateLimitError,
}


def request(
    headers: Mapping[str, str], body: bytes = GOOD_BODY, method: str = "POST", path: str = "/chats"
) -> ReceivedRequest:
    """Make a request that nobody sent."""
    return ReceivedRequest(method, path, headers, body)


def answer(
    status: int,
    document: Any,
    headers: Mapping[str, str] = RATE_LIMIT_HEADERS,
    content_type: str = "application/json",
) -> Answer:
    """Make an answer that nobody gave; a document of None is an empty body."""
    content = b"" if document is None else json.dumps(document).encode()
    return Answer(status, {**headers, "Content-Type": content_type}, content)


# What the client sends


@pytest.mark.parametrize("given", [USER, USER.upper(), UUID(USER)])
async def test_a_created_chat_was_asked_for_as_documented(
    fake: FakeFanvue, client: FanvueClient, given: UUID | str
) -> None:
    """However the user is given, the request is one that the contract describes."""
    await client.chats.create(given)

    (received,) = fake.requests
    JUDGE.check_request(received)


async def test_a_repeated_request_is_as_documented_as_the_first() -> None:
    """What is sent again after trouble of each kind is the same documented request."""
    async with FakeFanvue() as fake, fake.client() as client:
        fake.reply(503)
        fake.drop(after="request")
        await client.chats.create(USER)
        fake.reply(502)
        fake.drop(after="headers")
        await client.chats.create(USER)

        assert len(fake.requests) == 6
        for received in fake.requests:
            JUDGE.check_request(received)
            assert received.body == GOOD_BODY


async def test_every_view_asks_as_documented() -> None:
    """Views with other tokens and options send the same documented request, each with its token."""
    tokens = [f"token-{number}" for number in range(5)]
    async with FakeFanvue(tokens=tokens) as fake, fake.client() as client:
        for token in tokens:
            view = client.with_options(access_token=token, account=f"of-{token}", timeout=5)
            await view.chats.create(USER)

        for token, received in zip(tokens, fake.requests, strict=True):
            JUDGE.check_request(received)
            assert received.headers["Authorization"] == f"Bearer {token}"


async def test_a_renewed_token_is_sent_as_documented() -> None:
    """The request with the old token and the one with the new are both documented ones."""
    provider = Provider("old", "new")
    async with FakeFanvue(tokens=["new"]) as fake, fake.client(access_token=provider) as client:
        await client.chats.create(USER)

        assert len(fake.requests) == 2
        for received in fake.requests:
            JUDGE.check_request(received)


async def test_the_escape_hatch_asks_as_documented(fake: FakeFanvue, client: FanvueClient) -> None:
    """A request written out by a user is sent as documented too."""
    response = await client.request("POST", "/chats", json={"userUuid": USER})

    assert response.status == 201
    (received,) = fake.requests
    JUDGE.check_request(received)


# What the client reads


def test_every_documented_answer_has_a_meaning() -> None:
    """What the contract shows is what the next test reads, no more and no less."""
    assert [example.name for example in JUDGE.examples()] == list(DOCUMENTED)


@pytest.mark.parametrize("example", JUDGE.examples(), ids=lambda example: example.name)
async def test_the_client_reads_every_documented_answer(
    fake: FakeFanvue, client: FanvueClient, example: Example
) -> None:
    """Each answer that the contract shows passes the judge and becomes its value or typed error."""
    JUDGE.check_answer(
        answer(example.status, example.document, {**RATE_LIMIT_HEADERS, "Retry-After": "30"})
    )
    fake.reply(example.status, json=example.document)

    (read,) = await asyncio.gather(client.chats.create(USER), return_exceptions=True)

    assert type(read) is DOCUMENTED[example.name]
    if isinstance(read, APIError):
        assert (read.status, read.body) == (example.status, example.document)
    else:
        assert read == CreatedChat(**example.document)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (410, VersionSunsetError),
        (429, RateLimitError),
    ],
)
async def test_an_error_without_a_body_is_allowed_and_read(
    fake: FakeFanvue, client: FanvueClient, status: int, error: type[APIError]
) -> None:
    """One published page declares empty error bodies: the status alone gives the class."""
    JUDGE.check_answer(answer(status, None, {**RATE_LIMIT_HEADERS, "Retry-After": "30"}))
    fake.reply(status)

    with pytest.raises(error) as caught:
        await client.chats.create(USER)

    assert type(caught.value) is error
    assert caught.value.body is None


async def test_a_success_without_a_body_is_not_allowed(
    fake: FakeFanvue, client: FanvueClient
) -> None:
    """Of a 201 the message is documented and required: judge and client refuse one without."""
    with pytest.raises(MissingData):
        JUDGE.check_answer(answer(201, None))
    fake.reply(201)

    with pytest.raises(DecodeError):
        await client.chats.create(USER)


# What the fake server answers


@pytest.mark.parametrize(
    ("changes", "body", "status"),
    [
        ({}, GOOD_BODY, 201),
        ({}, GOOD_BODY.upper().replace(b"USERUUID", b"userUuid"), 201),
        ({}, b'{"userUuid":"%s"}' % user(1).encode(), 400),  # not contactable
        ({"Authorization": "bearer fake-token"}, GOOD_BODY, 201),  # RFC 9110, 11.1
        *(
            ({"Authorization": wrong}, GOOD_BODY, 401)
            for wrong in (
                *(None, "", "fake-token", "Bearer wrong", "Bearer FAKE-TOKEN", "Basic fake-token"),
            )
        ),
        # Who is asked first, which version second.
        ({"Authorization": None, "X-Fanvue-API-Version": None}, GOOD_BODY, 401),
        *(
            ({"X-Fanvue-API-Version": unknown}, GOOD_BODY, 400)
            for unknown in (None, "", "latest", "2099-01-01", "2025-06-27", "2025-6-1")
        ),
        ({"X-Fanvue-API-Version": "2024-01-01"}, GOOD_BODY, 410),
        ({"X-Fanvue-API-Version": "2025-06-25"}, GOOD_BODY, 410),
    ],
)
async def test_the_fake_answers_as_documented(
    changes: dict[str, str | None], body: bytes, status: int
) -> None:
    """What the fake server says of itself, the contract declares; what is refused does nothing."""
    async with FakeFanvue(not_contactable=[user(1)]) as fake:
        given = await send(fake.url, headers=changed(changes), body=body)

    assert given.status == status
    assert bool(fake.chats) == (status == 201)
    JUDGE.check_answer(given)


@pytest.mark.parametrize(
    "body",
    [
        GOOD_BODY,
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"useruuid":"%s"}' % USER.encode(),
        b'{"userUuid":null}',
        b'{"userUuid":1}',
        b'{"userUuid":""}',
        b'{"userUuid":["%s"]}' % USER.encode(),
        GOOD_BODY.replace(b'"3fa8', b'"+fa8'),
        GOOD_BODY.replace(b'"3fa8', b'"urn:uuid:3fa8'),
        GOOD_BODY.replace(b"-", b""),
        GOOD_BODY.replace(b'6"', b'"'),
        GOOD_BODY.replace(b'6"', b'6\\n"'),
        GOOD_BODY[:-1],
        b"\xff",
    ],
)
async def test_the_fake_accepts_the_bodies_that_the_contract_allows(
    fake: FakeFanvue, body: bytes
) -> None:
    """The fake and the judge share no code, and agree on every body; others make no chat."""
    given = await send(fake.url, body=body)

    (received,) = fake.requests
    try:
        JUDGE.check_request(received)
        expected = 201
    except RequestBodyValidationError:
        expected = 400
    assert given.status == expected
    assert bool(fake.chats) == (expected == 201)
    JUDGE.check_answer(given)


@pytest.mark.parametrize("status", [201, 400])
async def test_the_fake_answers_a_second_chat_as_documented(status: Any) -> None:
    """Of what a second chat may be answered with, 201 and 400 are documented statuses."""
    async with FakeFanvue(duplicates=status) as fake:
        first, second = [await send(fake.url) for _ in range(2)]

    assert (first.status, second.status) == (201, status)
    JUDGE.check_answer(second)


async def test_a_conflict_is_the_one_guess_outside_the_contract() -> None:
    """409 is a setting because bots saw it named, not because the operation documents it."""
    async with FakeFanvue(duplicates=409) as fake:
        await send(fake.url)
        given = await send(fake.url)

    assert given.status == 409
    with pytest.raises(ResponseNotFound):
        JUDGE.check_answer(given)


async def test_the_fake_limits_the_rate_as_documented() -> None:
    """Every answer of a limited fake carries the documented headers, the refusal Retry-After."""
    async with FakeFanvue(rate_limit=(2, 60)) as fake:
        given = [await send(fake.url) for _ in range(3)]

    assert [one.status for one in given] == [201, 201, 429]
    for one in given:
        JUDGE.check_answer(one)


# That the judge can refuse


@pytest.mark.timeout(120)  # the validator takes seconds of processor time
def test_the_contract_is_valid_openapi() -> None:
    """The file is what other programs can read: OpenAPI 3.1."""
    document: Any = yaml.safe_load(CONTRACT.read_text())

    OpenAPIV31SpecValidator(document).validate()


def test_the_judge_refuses_a_query_that_is_not_declared() -> None:
    """`limit` on a list with `size` is a mistake that programs make; the judge sees it."""
    good = changed({"Content-Type": None})
    JUDGE.check_request(request(good, b"", "GET", "/chats?size=50&filter=unread&filter=online"))

    with pytest.raises(UndeclaredError):
        JUDGE.check_request(request(good, b"", "GET", "/chats?limit=50"))


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/chats/unread", "getUnreadChatsCount"),
        ("GET", "/media/bulk", "getBulkMedia"),
        ("GET", f"/media/{USER}", "getUserMediaByUuid"),
        ("GET", "/vault/folders/a%2Fb/media", "listVaultFolderMedia"),
        ("GET", "/vault/folders/a/b/media", None),
        ("PUT", "/chats", None),
    ],
)
def test_the_judge_finds_the_operation(method: str, path: str, operation: str | None) -> None:
    """A literal segment of a path wins over a parameter, and an encoded slash splits no segment."""
    found = JUDGE.find(method, path)

    assert (found.id if found else None) == operation


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        (request(changed({"Authorization": None})), SecurityValidationError),
        (request(changed({"Authorization": "fake-token"})), SecurityValidationError),
        (request(changed({"Authorization": "Basic ZmFrZQ=="})), SecurityValidationError),
        (request(changed({"X-Fanvue-API-Version": None})), MissingRequiredParameter),
        (request(changed({"X-Fanvue-API-Version": "2024-01-01"})), InvalidParameter),
        (request(changed({"Content-Type": None})), RequestBodyValidationError),
        (request(changed({"Content-Type": "text/plain"})), RequestBodyValidationError),
        (request(changed({}), b""), MissingRequiredRequestBody),
        (request(changed({}), b"{}"), RequestBodyValidationError),
        (request(changed({}), b'{"userUuid":"1"}'), RequestBodyValidationError),
        (request(changed({}), b"userUuid=1"), RequestBodyValidationError),
        (request(changed({}), method="PUT"), PathError),
        (request(changed({}), path="/chat"), PathError),
    ],
)
def test_the_judge_refuses_a_wrong_request(
    wrong: ReceivedRequest, refusal: type[OpenAPIError]
) -> None:
    """A header or a field that is missing or wrong does not pass."""
    with pytest.raises(refusal):
        JUDGE.check_request(wrong)


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        (answer(201, {}), DataValidationError),
        (answer(201, {"message": None}), DataValidationError),
        (answer(201, ["message"]), DataValidationError),
        (answer(201, {"message": "x"}, content_type="text/html"), DataValidationError),
        (answer(400, {}), DataValidationError),
        (answer(400, {"error": "without message"}), DataValidationError),
        (answer(400, {"errors": ["of another operation"]}), DataValidationError),
        (answer(401, {"message": "of another status"}), DataValidationError),
        (answer(403, {}), DataValidationError),
        (answer(410, {"error": "without message"}), DataValidationError),
        (answer(410, {"error": "", "message": "", "nextVersion": 1}), DataValidationError),
        (answer(429, {"error": "without Retry-After"}), MissingRequiredHeader),
        (answer(429, None), MissingRequiredHeader),
        (answer(201, {"message": "x"}, {}), MissingRequiredHeader),
        (answer(401, None, {}), MissingRequiredHeader),
        (
            answer(201, {"message": "x"}, {**RATE_LIMIT_HEADERS, "X-RateLimit-Limit": "-1"}),
            InvalidHeader,
        ),
        (answer(200, {"message": "of another status"}), ResponseNotFound),
        (answer(404, {"message": "not declared"}), ResponseNotFound),
    ],
)
def test_the_judge_refuses_a_wrong_answer(wrong: Answer, refusal: type[OpenAPIError]) -> None:
    """An answer with a field or header missing or of the wrong kind does not pass."""
    with pytest.raises(refusal):
        JUDGE.check_answer(wrong)
