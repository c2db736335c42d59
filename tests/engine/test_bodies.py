"""Response bodies: what decompresses, and what is cut or has too much behind it."""

from __future__ import annotations

import gzip
import zlib

import pytest

from fanvue_async.engine.bodies import LIMIT, CutBodyError, ExcessError, decompress

WORDS = b'{"message":"created"}'
RAW = zlib.compressobj(wbits=-15)
BARE = RAW.compress(WORDS) + RAW.flush()


@pytest.mark.parametrize(
    ("content", "encoding", "value"),
    [
        (WORDS, None, WORDS),
        (b"", "gzip", b""),
        (WORDS, "br", WORDS),
        (gzip.compress(WORDS), " GZIP ", WORDS),
        (gzip.compress(WORDS), "x-gzip", WORDS),
        (gzip.compress(WORDS) + bytes(9), "gzip", WORDS),
        (gzip.compress(WORDS[:5]) + gzip.compress(WORDS[5:]), "gzip", WORDS),
        (zlib.compress(WORDS), "deflate", WORDS),
        (BARE, "deflate", WORDS),
    ],
    ids=range(9),
)
def test_a_body_is_decompressed(content: bytes, encoding: str | None, value: bytes) -> None:
    """In one stream or in several, padded or not; an unknown coding leaves it as it is."""
    assert decompress(content, encoding) == (value, True)


def test_a_bomb_is_unpacked_to_one_byte_more_than_the_limit() -> None:
    """Also one in many pieces."""
    mebibyte = gzip.compress(bytes(LIMIT))
    for content in (gzip.compress(bytes(64 * LIMIT)), mebibyte * 4):
        assert len(decompress(content, "gzip")[0]) == LIMIT + 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"no gzip", CutBodyError),
        (gzip.compress(WORDS) + b"more", ExcessError),
        (gzip.compress(b"") * 200, ExcessError),
    ],
    ids=range(3),
)
def test_a_body_that_is_damaged_or_followed_by_something(
    content: bytes, error: type[Exception]
) -> None:
    """What is behind the end was not meant; hundreds of streams are only to keep one busy."""
    with pytest.raises(error):
        decompress(content, "gzip")
