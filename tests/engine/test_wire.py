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


PYTHON_BLANKS = "\v\f\x00\x1c\u0085\u00a0"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"userUuid": USER}, b'{"userUuid":"%s"}' % USER.encode()),
        ([1, 2.5, True, None], b"[1,2.5,true,null]"),
        ("ü\ud800/", b'"\\u00fc\\ud800/"'),
        ({"a": "ü", "b": 2**70}, b'{"a":"\\u00fc","b":1180591620717411303424}'),
        ({"a": "\ud800"}, b'{"a":"\\ud800"}'),
        ({1: "a"}, b'{"1":"a"}'),
        ({}, b"{}"),
    ],
)
def test_dumps_writes_compact_ascii(value: object, content: bytes) -> None:
    """What is sent has no spaces and survives any proxy's idea of a charset."""
    assert wire.dumps(value) == content


@pytest.mark.parametrize("value", [{}, {"a": "b", "c": 5, "d": True, "e": None}])
def test_simple_objects_take_the_fast_path(value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What most requests hold is written by msgspec, as json would write it."""
    slow = wire.dumps([value])
    monkeypatch.setattr(wire, "_encode", None)
    assert b"[%s]" % wire.dumps(value) == slow


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
        *(b"", b" ", b"{", b'{"message":"cu', b"{'message':1}", b'{"message":1,}', b"[1] [2]"),
        *(b"<html>", b"NaN", b'{"message":NaN}', b"[Infinity]", b"[1e999]", b"[-Infinity]", b"nan"),
        *(b'"\xff"', b'"\xc3', '{"message":"ü"}'.encode("utf-16"), b"\xef\xbb\xbf{}", b'"\n"'),
        '{"message":"ü"}'.encode("latin-1"),
        *(b"9" * 5_000, b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000),
        # What is blank to Python only
        *(f"{blank}[5]".encode() for blank in PYTHON_BLANKS),
        *(f"[5]{blank}".encode() for blank in PYTHON_BLANKS),
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
        *((f"{blank}[5]{blank}".encode(), [5]) for blank in " \t\n\r"),
    ],
    ids=range(9),
)
def test_loads_reads_json_in_utf_8(content: bytes, value: object) -> None:
    """JSON as RFC 8259 has it is read, whitespace around it included."""
    assert wire.loads(content) == value


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
    ("text", "written"),
    [
        (USER, USER),
        (USER.upper(), USER),
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
        *((text, None) for text in ("", " " + USER, USER + "\n", USER[:-1], USER + "0")),
        *((text, None) for text in ("g" + USER[1:], USER.replace("-", ""), f"{{{USER}}}")),
        (f"urn:uuid:{USER}", None),
        # uuid.UUID reads these three as another user.
        ("+" + USER[1:], None),
        ("0_" + USER[2:], None),
        (USER[:9] + USER[9:].replace("-", "") + "---", None),
        ("3fa85f6-45717-4562-b3fc-2c963f66afa6", None),
        ("\u0663" + USER[1:], None),
        ("\uff13" + USER[1:], None),
    ],
    ids=range(18),
)
def test_only_the_canonical_text_is_a_uuid(text: str, written: str | None) -> None:
    """A text that another reader would take for another user is none."""
    assert wire.uuid_text(text) == written


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
