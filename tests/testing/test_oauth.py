"""The authorization server in the fake: what an application must do, and what ends a chain."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from support.by_hand import Answer, changed, send

from fanvue_async import AuthenticationError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanvue_async.testing import FakeFanvue

BACK = "https://bot.example.com/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:-1]
ASKED = {
    "response_type": "code",
    "client_id": "fake-client",
    "redirect_uri": BACK,
    "scope": "openid offline_access read:self write:chat",
    "state": "state-1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"fake-client:fake-secret").decode()}


async def authorize(fake: FakeFanvue, **changes: str) -> Answer:
    """Ask for a code as a browser does."""
    query = urlencode({**ASKED, **changes})
    return await send(fake.url, method="GET", path=f"/oauth2/auth?{query}", headers={}, body=b"")


def returned(answer: Answer) -> dict[str, str]:
    """Read the query of the address that a browser is sent back to."""
    assert answer.status == 303
    assert answer.headers["Location"].startswith(BACK)
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


async def exchange(
    fake: FakeFanvue, form: Mapping[str, str], headers: Mapping[str, str] = BASIC
) -> Answer:
    """Send a form to the token endpoint."""
    head = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form).encode()
    return await send(fake.url, path="/oauth2/token", headers=head, body=body)


async def code_exchange(fake: FakeFanvue, code: str, **changes: str) -> Answer:
    """Exchange a code."""
    form = {"code": code, "redirect_uri": BACK, "code_verifier": VERIFIER, **changes}
    return await exchange(fake, {"grant_type": "authorization_code", **form})


async def refresh(fake: FakeFanvue, token: str) -> Answer:
    """Exchange a refresh token."""
    return await exchange(fake, {"grant_type": "refresh_token", "refresh_token": token})


async def signed_in(fake: FakeFanvue, **changes: str) -> dict[str, Any]:
    """Go the whole way, and return the first pair."""
    code = returned(await authorize(fake, **changes))["code"]
    answer = await code_exchange(fake, code)
    assert answer.status == 200
    pair: dict[str, Any] = answer.json()
    return pair


async def test_a_sign_in_gives_a_pair_that_the_api_accepts(fake: FakeFanvue) -> None:
    """From the redirect over the code to a call: state comes back, scopes and life are told."""
    back = returned(await authorize(fake))
    assert back["state"] == "state-1"
    pair = (await code_exchange(fake, back["code"])).json()

    assert pair["expires_in"] == 3600
    assert pair["token_type"] == "bearer"
    assert set(pair["scope"].split()) == set(ASKED["scope"].split())
    headers = changed({"Authorization": f"Bearer {pair['access_token']}"})
    assert (await send(fake.url, headers=headers)).status == 201
    assert fake.oauth.counts == {"authorization_code": 1}


async def test_scopes_hold(fake: FakeFanvue) -> None:
    """What was not asked for is a 403 that names the scope."""
    pair = await signed_in(fake, scope="offline_access read:self")
    async with fake.client(access_token=pair["access_token"]) as client:
        with pytest.raises(PermissionDeniedError, match="write:chat"):
            await client.request("POST", "/chats", json={})


async def test_a_creator_signs_in(fake: FakeFanvue) -> None:
    """``user`` or ``login_hint`` says who; their token shows their own account."""
    anna, bella = fake.creators.add(handle="anna"), fake.creators.add(handle="bella")
    fake.oauth.user = anna
    pairs = [await signed_in(fake), await signed_in(fake, login_hint=bella)]

    async with fake.client() as client:
        for pair, handle in zip(pairs, ("anna", "bella"), strict=True):
            scoped = client.with_options(access_token=pair["access_token"])
            me = (await scoped.request("GET", "/users/me")).json()
            assert me["handle"] == handle
    assert [grant.user for grant in fake.oauth.grants] == [anna, bella]
    assert (await authorize(fake, login_hint="nobody")).status == 400
    with pytest.raises(ValueError, match="no creator"):
        fake.oauth.sign_in("00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"state": ""}, "invalid_state"),
        ({"scope": ""}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_is_told_to_the_application(
    fake: FakeFanvue, changes: dict[str, str], error: str
) -> None:
    """The browser is sent back with an error, and with the state if there was one."""
    back = returned(await authorize(fake, **changes))

    assert back["error"] == error
    assert "code" not in back
    assert back.get("state", "") == {**ASKED, **changes}["state"]


async def test_a_user_may_deny(fake: FakeFanvue) -> None:
    """``denial`` is what the browser comes back with."""
    fake.oauth.denial = "access_denied"

    assert returned(await authorize(fake))["error"] == "access_denied"


@pytest.mark.parametrize(
    "changes", [{"client_id": "other"}, {"redirect_uri": "https://evil.example.com"}]
)
async def test_nobody_is_sent_to_a_stranger(fake: FakeFanvue, changes: dict[str, str]) -> None:
    """An unknown application, or an address that it did not register, gets no redirect."""
    fake.oauth.add_client("mine", "secret", BACK)

    assert returned(await authorize(fake, client_id="mine"))["code"]
    assert (await authorize(fake, **{"client_id": "mine", **changes})).status == 400


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({"code": "other"}, "not valid"),
        ({"code_verifier": "w" * 43}, "verifier"),
        ({"code_verifier": VERIFIER[1:]}, "verifier"),
        ({"redirect_uri": "https://bot.example.com/other"}, "redirect_uri"),
    ],
)
async def test_a_code_is_for_whoever_asked(
    fake: FakeFanvue, changes: dict[str, str], description: str
) -> None:
    """A wrong code, verifier or address is an ``invalid_grant``; the right ones still work."""
    code = returned(await authorize(fake))["code"]
    answer = await code_exchange(fake, **{"code": code, **changes})

    assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")
    assert description in answer.json()["error_description"]
    assert (await code_exchange(fake, code)).status == 200
    assert fake.oauth.counts == {"refused": 1, "authorization_code": 1}


async def test_a_code_works_once(fake: FakeFanvue) -> None:
    """A second use ends what the first had given; a code that is too old never works."""
    now = 1_000_000.0
    fake.world.clock = lambda: now
    code, late = [returned(await authorize(fake))["code"] for _ in range(2)]
    pair = (await code_exchange(fake, code)).json()
    assert (await code_exchange(fake, code)).json()["error"] == "invalid_grant"
    headers = changed({"Authorization": f"Bearer {pair['access_token']}"})
    assert (await send(fake.url, headers=headers)).status == 401
    now += 601
    assert (await code_exchange(fake, late)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer fake-token",
        "Basic",
        "Basic %%%",
        "Basic " + base64.b64encode(b"fake-client:wrong").decode(),
        "Basic " + base64.b64encode(b"other:fake-secret").decode(),
        "Basic " + base64.b64encode(b"\xff:").decode(),
    ],
)
async def test_an_application_must_prove_itself(
    fake: FakeFanvue, authorization: str | None
) -> None:
    """HTTP Basic with the right secret, or ``invalid_client``; a secret in the body is no proof."""
    headers = {} if authorization is None else {"Authorization": authorization}
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_secret": "fake-secret"}
    answer = await exchange(fake, form, headers)

    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


async def test_other_grants_are_refused(fake: FakeFanvue) -> None:
    """Only codes and refresh tokens are documented."""
    answer = await exchange(fake, {"grant_type": "client_credentials"})

    assert (answer.status, answer.json()["error"]) == (400, "unsupported_grant_type")


async def test_without_offline_access_there_is_no_refresh_token(fake: FakeFanvue) -> None:
    """A grant without that scope ends with its access token."""
    assert "refresh_token" not in await signed_in(fake, scope="read:self")


async def test_an_access_token_ends(fake: FakeFanvue) -> None:
    """After ``expires_in`` it is a 401; the next pair works."""
    now = 1_000_000.0
    fake.world.clock = lambda: now
    fake.oauth.expires_in = 6
    pair = fake.oauth.sign_in(scopes=["offline", "write:chat"])
    async with fake.client(access_token=pair["access_token"]) as client:
        await client.request("POST", "/chats", json={"userUuid": fake.uuid})
        now += 6
        with pytest.raises(AuthenticationError):
            await client.request("POST", "/chats", json={"userUuid": fake.uuid})
        renewed = (await refresh(fake, pair["refresh_token"])).json()
        again = client.with_options(access_token=renewed["access_token"])
        await again.request("POST", "/chats", json={"userUuid": fake.uuid})


@pytest.mark.parametrize("same_pair", [False, True])
async def test_a_refresh_token_works_once_with_grace(fake: FakeFanvue, *, same_pair: bool) -> None:
    """Inside the grace it gives a new pair or the same; behind it, it ends the whole chain."""
    now = 1_000_000.0
    fake.world.clock = lambda: now
    fake.oauth.same_pair = same_pair
    first = fake.oauth.sign_in()
    second = (await refresh(fake, first["refresh_token"])).json()
    now += 30
    repeated = (await refresh(fake, first["refresh_token"])).json()
    assert (repeated == second) == same_pair
    third = (await refresh(fake, repeated["refresh_token"])).json()
    now += 0.5
    assert (await refresh(fake, first["refresh_token"])).json()["error"] == "invalid_grant"

    assert (await refresh(fake, third["refresh_token"])).json()["error"] == "invalid_grant"
    assert [grant.ended_by for grant in fake.oauth.grants] == ["reuse"]
    assert fake.oauth.counts == {"refresh_token": 3, "repeated": 1, "reuse": 1, "refused": 2}


@pytest.mark.parametrize("by", ["user", "application"])
async def test_a_grant_can_be_taken_back(fake: FakeFanvue, by: str) -> None:
    """By the user or the application: both tokens are dead, other grants are not."""
    pair, other = fake.oauth.sign_in(scopes=["offline", "write:chat"]), None
    anna = fake.creators.add()
    other = fake.oauth.sign_in(anna)
    if by == "user":
        fake.oauth.revoke()
    else:
        head = {**BASIC, "Content-Type": "application/x-www-form-urlencoded"}
        form = f"token={pair['refresh_token']}".encode()
        assert (await send(fake.url, path="/oauth2/revoke", headers=head, body=form)).status == 200

    headers = changed({"Authorization": f"Bearer {pair['access_token']}"})
    assert (await send(fake.url, headers=headers)).status == 401
    assert (await refresh(fake, pair["refresh_token"])).status == 400
    assert (await refresh(fake, other["refresh_token"])).status == 200
    assert [grant.ended_by for grant in fake.oauth.grants] == [by, None]


async def test_a_token_answer_can_be_odd(fake: FakeFanvue) -> None:
    """``changes`` replaces fields and leaves others out; the pair behind it is real."""
    pair = fake.oauth.sign_in()
    fake.oauth.changes = {"expires_in": "soon", "scope": ...}
    odd = (await refresh(fake, pair["refresh_token"])).json()

    assert odd["expires_in"] == "soon"
    assert "scope" not in odd
    assert (await refresh(fake, odd["refresh_token"])).status == 200


async def test_the_script_holds_for_the_token_endpoint_too(fake: FakeFanvue) -> None:
    """A lost answer of an exchange that happened is what the grace is for."""
    fake.reply(502, on="POST /oauth2/token")
    pair = fake.oauth.sign_in()

    assert [(await refresh(fake, pair["refresh_token"])).status for _ in range(2)] == [502, 200]
