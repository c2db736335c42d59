"""TLS contexts of both sides, certified by an authority of trustme."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import trustme


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Make the context of a client that trusts this authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType] - or pyOpenSSL's
    return context


def serving(
    authority: trustme.CA, host: str = "127.0.0.1", expires: datetime | None = None
) -> ssl.SSLContext:
    """Make the context of a server that this authority has certified."""
    certificate = authority.issue_cert(host, not_after=expires)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - or pyOpenSSL's
    return context
