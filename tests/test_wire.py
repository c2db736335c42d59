"""JSON and UUIDs: a strict writer, a tolerant reader."""

from __future__ import annotations

import json
import math
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.users import USER

from fanvue_async import CreatedChat, DecodeError, wire
from fanvue_async.engine.answers import Answer
from fanvue_async.testing import FakeFanvue

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates too: JSON can hold them, UTF-8 cannot.
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@attrs.frozen
class _Model:
    user_uuid: str = attrs.field(validator=attrs.validators.instance_of(str))
    is_read: bool = attrs.field(validator=attrs.validators.instance_of(bool))
    next_page_size: int = attrs.field(default=20, validator=attrs.validators.ge(1))


_reader = wire.reader(_Model)


def _read(content: bytes) -> _Model:
    return _reader(Answer(200, {}, content))


_WRONG = "no _Model: a field is missing or has the wrong type"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"userUuid": USER}, b'{"userUuid":"%s"}' % USER.encode()),
        ([1, 2.5, True, None], b"[1,2.5,true,null]"),
        ("ü\ud800/", b'"\\u00fc\\ud800/"'),
        ({}, b"{}"),
    ],
)
def test_dumps_writes_compact_ascii(value: object, content: bytes) -> None:
    """What is sent has no spaces and survives any proxy's idea of a charset."""
    assert wire.dumps(value) == content


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_dumps_refuses_what_is_no_number_in_json(number: float) -> None:
    """RFC 8259 has neither NaN nor Infinity, which Python would write."""
    for value in (number, [number], {"a": number}):
        with pytest.raises(ValueError, match="JSON"):
            wire.dumps(value)


@settings(deadline=None)
@given(value=json_values)
def test_loads_reads_what_dumps_writes(value: object) -> None:
    """Every value that JSON can hold comes back as it was."""
    assert wire.loads(wire.dumps(value)) == value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b'{"message":"cu',
        b"{'message':1}",
        b'{"message":1,}',
        b"[1] [2]",
        b"<html>",
        b"NaN",
        b'{"message":NaN}',
        b"[Infinity]",
        b"[1e999]",
        b"[-Infinity]",
        b"nan",
        b'"\xff"',
        b'"\xc3',
        '{"message":"ü"}'.encode("utf-16"),
        '{"message":"ü"}'.encode("latin-1"),
        b"\xef\xbb\xbf{}",
        b'"\n"',
        b"9" * 5_000,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_loads_refuses_with_one_error(content: bytes) -> None:
    """Whatever is wrong with a document, one class says so and shows none of it."""
    with pytest.raises(
        wire.MalformedBodyError, match=r"^(not JSON( \(\w+\)|, but more .*)|nested too deep)$"
    ) as it:
        wire.loads(content)

    assert (it.value.__cause__, it.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"null", None),
        (b" 5\r\n", 5),
        (b'{"a":1,"a":2}', {"a": 2}),
        ('{"message":"ü"}'.encode(), {"message": "ü"}),
        (b"[" * 100 + b"]" * 100, json.loads("[" * 100 + "]" * 100)),
    ],
    ids=range(5),
)
def test_loads_reads_json_in_utf_8(content: bytes, value: object) -> None:
    """JSON as RFC 8259 has it is read, whitespace around it included."""
    assert wire.loads(content) == value


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\r"], ids=ascii)
def test_the_blanks_of_json_may_surround_a_document(blank: str) -> None:
    """RFC 8259 has four of them, which mean nothing before and behind a value."""
    assert wire.loads(f"{blank}[5]{blank}".encode()) == [5]


@pytest.mark.parametrize("blank", ["\v", "\f", "\x00", "\x1c", "\u0085", "\u00a0"], ids=ascii)
def test_other_blanks_are_no_json(blank: str) -> None:
    """What is blank to Python only is refused, before a document and behind it."""
    for text in (f"{blank}[5]", f"[5]{blank}"):
        with pytest.raises(wire.MalformedBodyError):
            wire.loads(text.encode())


@settings(deadline=None)
@given(content=st.binary() | st.text().map(str.encode))
def test_loads_reads_any_bytes_or_refuses_them(content: bytes) -> None:
    """No bytes make it raise anything else, or differ from another reader of UTF-8."""
    try:
        value = wire.loads(content)
    except wire.MalformedBodyError:
        return
    assert value == json.loads(content.decode())


def test_fields_and_items_are_empty_for_something_else() -> None:
    """Documents are looked at without knowing what they are."""
    assert wire.fields_of({"a": 1}) == {"a": 1}
    assert wire.items_of([1]) == [1]
    for other in (None, 5, "text", True):
        assert wire.fields_of(other) == {}
        assert wire.items_of(other) is None
    assert wire.fields_of([]) == {}
    assert wire.items_of({}) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"userUuid":"x","isRead":true,"nextPageSize":5}', _Model("x", True, 5)),  # noqa: FBT003 - a field
        (b'{"isRead":false,"userUuid":""}', _Model("", False)),  # noqa: FBT003 - a field
        (b'{"userUuid":"x","isRead":true,"new":{"a":[1]},"is_read":5}', _Model("x", True)),  # noqa: FBT003 - a field
    ],
    ids=["whole", "without the optional", "with the unknown"],
)
def test_reader_makes_a_model(content: bytes, expected: _Model) -> None:
    """Names in camelCase become snake_case, the optional may be missing, the new is ignored."""
    assert _read(content) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"not JSON \(JSONDecodeError\)"),
        (b"null", "a NoneType where an object should be"),
        (b"[]", "a list where an object should be"),
        (b'"text"', "a str where an object should be"),
        (b"{}", _WRONG),
        (b'{"userUuid":"x","is_read":true}', _WRONG),
        (b'{"userUuid":5,"isRead":true}', _WRONG),
        (b'{"userUuid":null,"isRead":true}', _WRONG),
        (b'{"userUuid":"x","isRead":true,"nextPageSize":0}', _WRONG),
        (b'{"userUuid":"x","isRead":true,"nextPageSize":"5"}', _WRONG),
    ],
)
def test_reader_refuses_what_breaks_the_contract(content: bytes, reason: str) -> None:
    """The reason names what it should have been, never what the API sent."""
    with pytest.raises(wire.MalformedBodyError, match=f"^{reason}$") as caught:
        _read(content)

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@settings(deadline=None)
@given(document=json_values)
def test_reader_reads_any_json_or_refuses_it(document: object) -> None:
    """No document makes it raise anything but its own error."""
    for content in (wire.dumps(document), wire.dumps({"userUuid": document, "isRead": True})):
        try:
            model = _read(content)
        except wire.MalformedBodyError:
            continue
        assert isinstance(model.user_uuid, str)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"null", "a NoneType where an object should be"),
        (b"[]", "a list where an object should be"),
        (b"{}", "no CreatedChat"),
        (b'{"message":5}', "no CreatedChat"),
        (b'{"message":NaN}', "not JSON"),
        (b"9" * 5_000, "not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"\xef\xbb\xbf{}", "not JSON"),
    ],
    ids=lambda value: repr(value[:20]),
)
async def test_a_success_that_breaks_the_contract_is_a_decode_error(
    body: bytes, reason: str
) -> None:
    """A broken success is no success, was acted on, and is not asked for again."""
    async with FakeFanvue() as fake, fake.client() as client:
        fake.reply(201, body=body, headers={"Content-Type": "application/json"})

        with pytest.raises(DecodeError, match=reason) as caught:
            await client.chats.create(USER)

    assert caught.value.maybe_processed
    assert len(fake.requests) == 1


async def test_the_charset_of_an_answer_is_not_believed() -> None:
    """JSON is UTF-8, whatever the header says, and what is new in it does no harm."""
    async with FakeFanvue() as fake, fake.client() as client:
        body = '{"message":"ü","new":{}}'.encode()
        fake.reply(201, body=body, headers={"Content-Type": "text/html; charset=utf-16"})

        assert await client.chats.create(USER) == CreatedChat(message="ü")


_TEXTS = {
    USER: True,
    USER.upper(): True,
    "00000000-0000-0000-0000-000000000000": True,
    "": False,
    " " + USER: False,
    USER + "\n": False,
    USER[:-1]: False,
    USER + "0": False,
    "g" + USER[1:]: False,
    USER.replace("-", ""): False,
    f"{{{USER}}}": False,
    f"urn:uuid:{USER}": False,
    # uuid.UUID reads these three as another user.
    "+" + USER[1:]: False,
    "0_" + USER[2:]: False,
    USER[:9] + USER[9:].replace("-", "") + "---": False,
    "3fa85f6-45717-4562-b3fc-2c963f66afa6": False,
    "\u0663" + USER[1:]: False,
    "\uff13" + USER[1:]: False,
}


@pytest.mark.parametrize(("text", "canonical"), _TEXTS.items(), ids=map(ascii, _TEXTS))
def test_only_the_canonical_text_is_a_uuid(text: str, *, canonical: bool) -> None:
    """A text that another reader would take for another user is none."""
    assert wire.uuid_text(text) == (USER if text.lower() == USER else text if canonical else None)


@settings(deadline=None, max_examples=300)
@given(
    text=st.text("0123456789abcdefABCDEF-+_{} \n\u0663", min_size=34, max_size=38)
    | st.uuids().map(str)
    | st.uuids().map(lambda value: str(value).upper())
    | st.text()
)
def test_any_text_is_the_same_uuid_to_everybody_or_none(text: str) -> None:
    """What is accepted is sent as Python's own UUID would write it."""
    written = wire.uuid_text(text)

    if written is not None:
        assert written == str(UUID(text)) == text.lower()


@given(value=st.uuids())
def test_a_uuid_object_is_written_in_lower_case(value: UUID) -> None:
    """A UUID is its canonical text."""
    assert wire.uuid_text(value) == str(value)


@pytest.mark.parametrize("value", [None, 5, 0, b"x" * 36, USER.encode(), [USER], UUID(USER).int])
def test_other_types_are_no_uuid(value: Any) -> None:
    """Nothing is turned into text in the hope that it is meant so."""
    assert wire.uuid_text(value) is None


@pytest.mark.parametrize(
    ("text", "can_be_sent"),
    [("", True), ("ü\U0001f600\x00", True), ("\ud83d", False), ("a\udcffb", False)],
    ids=ascii,
)
def test_a_lone_surrogate_cannot_be_sent(text: str, *, can_be_sent: bool) -> None:
    """Python's text can hold half a character, which has no UTF-8."""
    assert wire.is_unicode(text) is can_be_sent
