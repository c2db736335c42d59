"""What is kept of a grant, and where: one key for each account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs

from fanvue_async.stores.documents import dump, load

if TYPE_CHECKING:
    from fanvue_async.oauth.endpoint import Pair
    from fanvue_async.stores import Entry, Store


@attrs.frozen(kw_only=True)
class Grant:
    """What one account has granted, as the store holds it."""

    access_token: str = attrs.field(repr=False)
    refresh_token: str | None = attrs.field(repr=False)
    generation: int
    """Counts the pairs of this account."""
    issued_at: float
    """When it was issued, by the wall clock of the process that got it."""
    expires_in: float
    scope: str | None = None
    first_used_at: float | None = None
    """When the refresh token was sent first; set before it is sent."""
    refused: bool = False
    """Whether the API has answered the access token with 401."""
    ended: bool = False
    """Whether the creator must authorize the application again."""

    def followed_by(self, pair: Pair, now: float) -> Grant:
        """Return the grant after an exchange."""
        return Grant(
            access_token=pair.access_token,
            refresh_token=pair.refresh_token or self.refresh_token,
            generation=self.generation + 1,
            issued_at=now,
            expires_in=pair.expires_in,
            scope=pair.scope or self.scope,
        )

    def dump(self) -> bytes:
        """Write it for the store."""
        return dump(attrs.asdict(self))


NOTHING = Grant(access_token="", refresh_token=None, generation=0, issued_at=0.0, expires_in=0.0)


def read(entry: Entry) -> Grant:
    """Read a grant of the store, also one of another release with more fields.

    Raises:
        StoreError: the entry is none of ours, or of a newer release.

    """
    fields: dict[str, Any] = load(entry.value)
    known = attrs.fields_dict(Grant)
    return Grant(**{name: value for name, value in fields.items() if name in known})


class Keys:
    """Names the keys of one application at one authorization server."""

    def __init__(self, auth_url: str, client_id: str) -> None:
        digest = sha256(f"{auth_url} {client_id}".encode()).hexdigest()[:16]
        self._prefix = f"oauth:{digest}:"
        self._grants = self._prefix + "grant:"

    def grant(self, account: str) -> str:
        """Where the grant of an account is kept."""
        return self._grants + account

    def code(self, state: str) -> str:
        """Where it is noted that a sign-in's code is used."""
        return f"{self._prefix}code:{sha256(state.encode()).hexdigest()}"

    def unnamed(self, state: str) -> str:
        """Where the grant of a sign-in is kept until its account has a name."""
        return f"{self._prefix}unnamed:{sha256(state.encode()).hexdigest()}"

    async def accounts(self, store: Store) -> AsyncIterator[str]:
        """Iterate over the accounts that are kept."""
        async for key in store.keys(self._grants):
            yield key[len(self._grants) :]
