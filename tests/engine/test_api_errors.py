"""How a response whose status is no success becomes a typed error, and what is kept of it."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from support import raw_server
from support.leaks import shown_by
from support.raw_server import RawServer

from fanvue_async import RateLimit, errors
from fanvue_async.engine import wire
from fanvue_async.engine.answers import Answer
from fanvue_async.engine.api_errors import api_error
from fanvue_async.engine.credentials import Bearer

# Has each kind of character that a token may hold.
TOKEN = "s3cret/tok+en-._~=="


def _api_error(
    status: int,
    content: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    token: str = TOKEN,
    bare_message: type[errors.BadRequestError] = errors.NotContactableError,
) -> errors.APIError:
    return api_error(
        Answer(status, CIMultiDict(headers or {}), content, 1),
        redact=Bearer(token).redact,
        bare_message=bare_message,
        operation="POST /chats",
        maybe_processed=False,
    )


def _pickles(error: errors.APIError) -> bool:
    copied: errors.APIError = pickle.loads(pickle.dumps(error))
    return vars(copied) == vars(error) and str(copied) == str(error)


# Which class an answer becomes; that of each status is in faults/table.py


@pytest.mark.parametrize("bare", [errors.BadRequestError, errors.NotContactableError])
@pytest.mark.parametrize(
    ("content", "expected", "message"),
    [
        (b'{"message":"said"}', None, "said"),
        (b'{"message":""}', None, ""),
        (b'{"message":"said","error":null}', None, "said"),
        (b'{"message":"said","error":5}', None, "5: said"),
        (b'{"message":"said","errors":"text"}', None, "said"),
        (b'{"message":"said","code":7}', None, "said"),
        (b'{"error":"kind","message":"said"}', errors.UnsupportedVersionError, "kind: said"),
        (b'{"error":"","message":""}', errors.UnsupportedVersionError, ": "),
        (b'{"errors":["one","two"]}', errors.InvalidRequestError, "one: two"),
        (b'{"errors":[],"message":"said"}', errors.InvalidRequestError, "said"),
        (b'{"errors":["one"],"error":"kind"}', errors.InvalidRequestError, "one"),
        (b'{"error":"kind"}', errors.BadRequestError, "kind"),
        (b'{"message":5}', errors.BadRequestError, "5"),
        (b'{"message":null}', errors.BadRequestError, ""),
        (b"{}", errors.BadRequestError, ""),
        (b'["message"]', errors.BadRequestError, ""),
        (b'"message"', errors.BadRequestError, "message"),
        (b"null", errors.BadRequestError, ""),
        (b"true", errors.BadRequestError, ""),
        (b"message", errors.BadRequestError, "message"),
        (b"<h1>a</h1><title>b\n c&#8230;</title>", errors.BadRequestError, "b c…"),
        (b"<html>message</html>", errors.BadRequestError, ""),
    ],
)
def test_a_400_is_told_apart_by_its_shape(
    content: bytes,
    expected: type[errors.BadRequestError] | None,
    message: str,
    bare: type[errors.BadRequestError],
) -> None:
    """The shape decides, not the words; what a bare message means, the operation says."""
    error = _api_error(400, content, bare_message=bare)

    assert type(error) is (expected or bare)
    assert error.message == message


@pytest.mark.parametrize("status", [401, 404, 409, 422, 500])
def test_shapes_mean_nothing_outside_of_a_400(status: int) -> None:
    """The shapes are documented for 400; elsewhere only the status counts."""
    for content in (b'{"errors":["one"]}', b'{"error":"kind","message":"said"}', b'{"message":""}'):
        assert type(_api_error(status, content)) is type(_api_error(status))


def test_validation_errors_are_kept_one_by_one() -> None:
    """InvalidRequestError.errors has each complaint as text, also one that is none."""
    error = _api_error(400, b'{"errors":["one\\n",5,null,{"at":"userUuid"}]}')

    assert isinstance(error, errors.InvalidRequestError)
    assert error.errors == ("one\\n", "5", "{'at': 'userUuid'}")


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b'{"error":"a","message":"b","nextVersion":"2027-01-01"}', "2027-01-01"),
        (b'{"error":"a","message":"b"}', None),
        (b'{"nextVersion":5}', None),
        (b"[]", None),
        (b"", None),
    ],
)
def test_a_sunset_names_the_next_version(content: bytes, version: str | None) -> None:
    """VersionSunsetError.next_version is what the API named, or None."""
    error = _api_error(410, content)

    assert isinstance(error, errors.VersionSunsetError)
    assert error.next_version == version


# What is kept of a body


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"", None),
        (b"null", None),
        (b"5", 5),
        (b'{"a":[1,null,true,"\xc3\xbc"]}', {"a": [1, None, True, "ü"]}),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b'{"message":"cu', '{"message":"cu'),
        (b"\xff\xfe!", "\ufffd\ufffd!"),
        (b'{"message":NaN}', '{"message":NaN}'),
        (b"[Infinity]", "[Infinity]"),
        (b"\xef\xbb\xbf{}", "\ufeff{}"),
        (b"9" * 5_000, "9" * 2_000),
        (b"[" * 100_000, "[" * 2_000),
        (b"x" * 1_000_000, "x" * 2_000),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_body_is_kept_as_json_or_as_text(content: bytes, body: object) -> None:
    """Any body gives the right class; what is no JSON is kept as its beginning."""
    error = _api_error(502, content)

    assert type(error) is errors.ServerError
    assert (error.operation, error.attempts) == ("POST /chats", 1)
    assert error.body == body
    assert len(error.message) <= 500
    assert _pickles(error)


def test_a_compressed_body_without_its_end_may_be_whole_json() -> None:
    """What decodes misses nothing; what doesn't is named by its cause."""
    answer = Answer(200, CIMultiDict(), b'{"a":1}', is_whole=False)
    answer.check_whole()
    answer.content = answer.content[:-1]
    with pytest.raises(wire.MalformedBodyError, match=r"^cut short$"):
        answer.check_whole()


def test_a_deep_body_is_cut() -> None:
    """What is nested deeper than any error of the API could not be printed or pickled."""
    error = _api_error(500, b'{"a":' + b"[" * 900 + b'"end"' + b"]" * 900 + b"}")

    body, depth = error.body["a"], 1
    while isinstance(body, list):
        body, depth = body[0], depth + 1  # pyright: ignore[reportUnknownVariableType] - any JSON
    assert (body, depth) == ("…", 32)
    assert _pickles(error)


# What is kept of the headers


def test_only_harmless_headers_are_kept() -> None:
    """A list says what is kept, under its usual spelling; cookies and challenges are not on it."""
    kept = {
        "CF-Ray": "8f0-VIE",
        "Content-Type": "text/html",
        "Date": "Sun, 06 Nov 1994 08:49:37 GMT",
        "Deprecation": "@1688169599",
        "Location": "https://elsewhere.example/x",
        "Retry-After": "7",
        "Sunset": "Sun, 06 Nov 1994 08:49:37 GMT",
        "X-Fanvue-API-Next-Version": "2027-01-01",
        "X-RateLimit-Limit": "200",
        "X-RateLimit-Remaining": "3",
        "X-RateLimit-Reset": "1700000000",
        "X-Request-Id": "abc-123",
    }
    secret = {
        "Set-Cookie": "session=1",
        "WWW-Authenticate": "Bearer realm=x",
        "Authorization": "Bearer x",
        "Server": "nginx",
        "Link": "<https://x.example?key=1>",
    }
    sent = {name.lower(): value for name, value in {**kept, **secret}.items()}

    error = _api_error(429, headers=sent)

    assert error.headers == kept
    assert error.request_id == "abc-123"
    assert error.retry_after == 7.0
    assert error.rate_limit == RateLimit(200, 3, datetime.fromtimestamp(1_700_000_000, UTC))


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("/chats", "/chats"),
        ("https://host.example/a/b", "https://host.example/a/b"),
        ("https://host.example/a?key=1", "https://host.example/a"),
        ("https://host.example/a#key=1", "https://host.example/a"),
        ("https://host.example?key=//u:p@h", "https://host.example"),
        ("https://user:pass@host.example/a", "https://host.example/a"),
        ("https://user@host.example:8443", "https://host.example:8443"),
        ("https://user:p@ss@host.example/a", "https://host.example/a"),
        ("//user:pass@host.example", "//host.example"),
        ("ftp://user:pass@host.example", "ftp://host.example"),
        ("/a/b@c", "/a/b@c"),
        ("?key=1", ""),
        ("", ""),
    ],
)
def test_a_location_is_kept_without_its_secrets(location: str, kept: str) -> None:
    """Where a redirect points to is told without userinfo, query and fragment."""
    assert _api_error(302, headers={"Location": location}).headers == {"Location": kept}


def test_a_header_is_short_and_printable() -> None:
    """Bytes that are no UTF-8 arrive as lone surrogates, which no terminal can write."""
    error = _api_error(500, headers={"X-Request-Id": "\udcff" * 3, "CF-Ray": "x" * 10_000})

    assert error.request_id == "\\udcff" * 3
    assert error.headers["CF-Ray"] == "x" * 199 + "…"


# The token in what the API says

_ESCAPED = "".join(f"\\u{ord(char):04x}" for char in TOKEN).encode()
_ESCAPED_IN_CAPITALS = "".join(f"\\u{ord(char):04X}" for char in TOKEN).encode()
_WITH_SOLIDUS = TOKEN.replace("/", "\\/").encode()
_PLAIN = TOKEN.encode()


@pytest.mark.parametrize(
    "content",
    [
        b'{"message":"bad token %s"}' % _PLAIN,
        b'{"message":"bad token %s"}' % _ESCAPED,
        b'{"message":"bad token %s"}' % _ESCAPED_IN_CAPITALS,
        b'{"message":"bad token %s"}' % _WITH_SOLIDUS,
        b'{"message":"\\u0073%s"}' % _PLAIN[1:],
        b'{"%s":["%s",{"deep":{"%s":"%s%s"}}]}' % ((_PLAIN,) * 5),
        b'{"%s":1}' % _ESCAPED,
        b'{"errors":["%s",{"%s":["%s"]}]}' % ((_PLAIN,) * 3),
        b'{"error":"%s","message":"%s"}' % (_PLAIN, _PLAIN),
        b'{"nextVersion":"%s"}' % _PLAIN,
        b'"%s"' % _PLAIN,
        b"[" * 32 + b'"%s"' % _PLAIN + b"]" * 32,
        b"[" * 33 + b'"%s"' % _PLAIN + b"]" * 33,
        b"<html>%s</html>" % _PLAIN,
        b"\xff%s\xff" % _PLAIN,
        b'{"message":"bad token %s' % _PLAIN,
        b"x" * (2_000 - 5) + _PLAIN,
        b"x" * (500 - 5) + _PLAIN,
    ],
    ids=range(18),
)
def test_the_token_is_taken_out_of_bodies(content: bytes) -> None:
    """A server that echoes our token does not bring it into an error, however it is written."""
    for status in (302, 400, 401, 410, 500):
        # No beginning of it either, where a text is cut.
        assert TOKEN[:5] not in shown_by(_api_error(status, content))


@pytest.mark.parametrize(
    "escaped",
    [_ESCAPED, _ESCAPED_IN_CAPITALS, _WITH_SOLIDUS],
    ids=["unicode", "capitals", "solidus"],
)
def test_the_token_is_taken_out_of_json_that_was_cut(escaped: bytes) -> None:
    """A body that ended too early is kept as text, in which JSON's escapes still stand."""
    error = _api_error(401, b'{"message":"bad token %s","detail":"' % escaped)

    assert escaped.decode() not in error.message
    assert escaped.decode() not in error.body


@pytest.mark.parametrize("name", ["X-Request-Id", "Location", "Content-Type"])
@pytest.mark.parametrize("value", [TOKEN, f"/x/{TOKEN}", "x" * 195 + TOKEN, f"{TOKEN} {TOKEN}"])
def test_the_token_is_taken_out_of_headers(name: str, value: str) -> None:
    """An echo in a header that is kept shows nothing either, also where the header is cut."""
    error = _api_error(401, headers={name: value})

    assert name in error.headers
    assert TOKEN[:5] not in shown_by(error)


def _json_around(token: str) -> st.SearchStrategy[Any]:
    texts = st.tuples(st.text(), st.text()).map(token.join)
    return st.recursive(
        texts | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    )


@settings(deadline=None)
@given(data=st.data(), token=st.from_regex(r"[A-Za-z0-9._~+/-]{8,40}={0,2}", fullmatch=True))
def test_no_json_brings_the_token_back(data: st.DataObject, token: str) -> None:
    """Whatever JSON surrounds any token, no key or text of the kept body holds it."""
    document = data.draw(_json_around(token))

    error = _api_error(400, json.dumps(document).encode(), token=token)

    assert token not in json.dumps(error.body, ensure_ascii=False)
    assert token not in error.message


# Each makes aiohttp quote the line in what it says. The padding moves the token over the place
# where a long cause is cut.
_QUOTED = [
    b"HTTP/1.1 200 OK\r\nBad Header%s%s: 1\r\n\r\n",
    b"HTTP/1.1 2xx %s%s\r\n\r\n",
    b"%s%s\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: 1\x00%s%s\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s%s\r\n",
]


@pytest.mark.parametrize("line", _QUOTED, ids=range(len(_QUOTED)))
async def test_the_token_is_taken_out_of_the_cause(line: bytes) -> None:
    """What aiohttp quotes of a malformed answer holds neither the token nor its beginning."""
    token = raw_server.TOKEN
    paddings = [b"", *(b"a" * length for length in range(100, 170, 5))]
    with RawServer() as server:
        for padding in paddings:
            server.play(raw_server.read, line % (padding, token.encode()))
        async with server.client() as client:
            for _ in paddings:
                with pytest.raises(errors.ProtocolError) as caught:
                    await client.request("GET", "/x")
                assert caught.value.cause is not None
                assert token[:8] not in shown_by(caught.value)

    assert len(server.requests) == len(paddings)


@pytest.mark.parametrize("broken", [b"a=\0secret", b"a=secret" + b"x" * 9_000])
async def test_a_cause_holds_no_header(broken: bytes) -> None:
    """A header that aiohttp cannot read may be a cookie, so its value is not told."""
    with RawServer() as server:
        server.play(raw_server.read, b"HTTP/1.1 200 OK\r\nSet-Cookie: %s\r\n\r\n" % broken)
        async with server.client() as client:
            with pytest.raises(errors.ProtocolError) as caught:
                await client.request("GET", "/x")

    assert "secret" not in shown_by(caught.value)
