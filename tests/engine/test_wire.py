"""JSON and UUIDs: a strict writer, a tolerant reader."""

from __future__ import annotations

import json
import math
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.users import USER

from fanvue_async.engine import wire

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
