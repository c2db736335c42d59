"""TLS contexts of both sides, certified by an authority of trustme."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

if TYPE_CHECKING:
    from datetime import datetime


# uvloop 0.23 forgets the socket of a connection that ends before its TLS begins. Python then closes
# the descriptor once more, when it may be that of the next connection. The same of a cancellation,
# which is mended there: https://github.com/MagicStack/uvloop/issues/738
NOT_UNDER_UVLOOP = pytest.mark.skipif(
    os.environ.get("FANVUE_TEST_LOOP") == "uvloop", reason="uvloop closes a descriptor twice"
)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Make the context of a client that trusts this authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType] - or pyOpenSSL's
    return context


AUTHORITY = trustme.CA()
TRUST = trusting(AUTHORITY)
"""The context of a client that trusts it."""


def serving(host: str = "127.0.0.1", *, expires: datetime | None = None) -> ssl.SSLContext:
    """Make the context of a server that the authority has certified."""
    certificate = AUTHORITY.issue_cert(host, not_after=expires)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - or pyOpenSSL's
    return context
