"""The headers of every request to the API; the token's is in ``credentials.py``.

What goes to the authorization server gets a few of them, and parts of an upload none.
"""

from __future__ import annotations

import platform

import aiohttp

from fanvue_async.version import __version__


def request_headers(api_version: str, user_agent: str | None) -> dict[str, str]:
    """Make the headers that go with every request to the API."""
    return {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": _user_agent(user_agent),
        "X-Fanvue-API-Version": api_version,
    }


def _user_agent(application: str | None) -> str:
    own = (
        f"fanvue-async/{__version__} "
        f"(Python {platform.python_version()}; aiohttp {aiohttp.__version__})"
    )
    return f"{own} {application}" if application else own
