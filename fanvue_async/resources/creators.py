"""Creators whom the token may act for; ``client.creator(uuid)`` does so."""

from __future__ import annotations

import attrs

from fanvue_async.engine.operation import Operation
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.users import FanUser


@attrs.frozen(kw_only=True)
class AgencyCreator(FanUser):
    """A creator whom the token may act for."""

    role: str | None = None
    """What the token may do for this creator; its values are not documented."""


_LIST = Operation(
    "GET", "/creators", Numbered[AgencyCreator], id="listCreators", scopes=("read:creator",)
)


class CreatorsResource(Resource):
    """The creators whom the token may act for, as ``client.creators``."""

    def list(self, *, start: str | None = None, page_size: int = 50) -> Listing[AgencyCreator]:
        """List the creators. Scope: ``read:creator``.

        Args:
            start: ``Page.next`` of an earlier page.
            page_size: creators a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: listCreators, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _LIST, start=start, page_size=page_size)
