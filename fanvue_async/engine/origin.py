"""Where requests go and by which way: base URL, TLS and proxy."""

from __future__ import annotations

import os
import ssl as ssl_module
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from fanvue_async import config
from fanvue_async.engine.request_headers import request_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanvue_async.engine.credentials import Secret

_CONTEXT_AT_IMPORT = ssl_module.SSLContext
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class Origin:
    """An API's address and how requests reach it; without a repr, for it knows passwords."""

    def __init__(  # noqa: PLR0913 - settings of the client, from one caller
        self,
        base_url: str | None,
        *,
        api_version: str,
        user_agent: str | None,
        ssl: ssl_module.SSLContext | None,
        proxy: Secret | None,
        allow_http: bool = False,
    ) -> None:
        name = "base_url"
        if base_url is None:
            base_url, name = config.base_url_from_environment()
        self.base_url: str = config.checked_base_url(base_url, name, allow_http=allow_http)
        self.api_version: str = config.checked_api_version(api_version)
        self.headers: dict[str, str] = request_headers(
            self.api_version, config.checked_user_agent(user_agent)
        )
        self.options: dict[str, Any] = _options(
            config.checked_ssl(ssl), config.checked_proxy(proxy)
        )
        """Options of aiohttp that are the same for every request."""
        if self.base_url.startswith("http:"):  # aiohttp sends a proxy's headers to tunnels only
            self.headers.update(self.options.get("proxy_headers", {}))
        self._url_below: Callable[[str], URL] = lru_cache(maxsize=64)(self._url_of)

    @property
    def is_plain(self) -> bool:
        """Whether tokens travel unencrypted to another machine."""
        return self.base_url.startswith("http:") and not config.is_loopback(self.base_url)

    def own_context(self) -> ssl_module.SSLContext | None:
        """Make a TLS context if aiohttp's own, made when it was imported, is out of date.

        Since then, ``SSL_CERT_FILE`` may have been set, or truststore injected.
        """
        certificates = tuple(_state_of(os.environ.get(name)) for name in _CERTIFICATES)
        has_changed = ssl_module.SSLContext is not _CONTEXT_AT_IMPORT or any(certificates)
        if self.options.get("ssl") is not None or not has_changed:
            return None
        return _default_context(ssl_module.SSLContext, certificates)

    def url(self, target: str) -> URL:
        """Return the address of an encoded path below the base URL, or of an absolute URL."""
        if target.startswith("/"):
            return self._url_below(target)
        return URL(target, encoded=True)  # it may be signed, so it is not kept

    def _url_of(self, path: str) -> URL:
        return URL(self.base_url + path, encoded=True)


@lru_cache(maxsize=1)  # reading the certificates blocks the event loop for 20 ms
def _default_context(
    _kind: type[ssl_module.SSLContext], _certificates: tuple[object, ...]
) -> ssl_module.SSLContext:
    """Make what all clients share until the environment or the files change."""
    return ssl_module.create_default_context()


def _state_of(path: str | None) -> tuple[str, int | None] | None:
    """Tell certificates from others, and from earlier ones, that lie there."""
    if not path:
        return None
    try:
        return path, os.stat(path).st_mtime_ns  # noqa: PTH116 - nothing else of the path is used
    except OSError:
        return path, None


def _options(
    context: ssl_module.SSLContext | None, proxy: tuple[str, tuple[str, str] | None] | None
) -> dict[str, Any]:
    """Make the options; the proxy's password goes into a header of its own and out of the URL.

    aiohttp shows the URL of a proxy in reprs and errors.
    """
    options: dict[str, Any] = {"allow_redirects": False}
    if context is not None:
        options["ssl"] = context
    if proxy is not None:
        address, login = proxy
        options["proxy"] = URL(address)
        if login is not None:
            options["proxy_headers"] = {"Proxy-Authorization": aiohttp.encode_basic_auth(*login)}
    return options
