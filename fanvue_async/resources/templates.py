"""Templates: messages saved for reuse. Only the app can create them."""

from __future__ import annotations

from uuid import UUID

import attrs

from fanvue_async.engine.operation import Operation
from fanvue_async.money import Cents
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource


@attrs.frozen(kw_only=True)
class TemplateMessage:
    """A message saved for reuse."""

    uuid: str
    text: str | None = None
    price: Cents | None = None
    """US cents to unlock the media."""
    media_uuids: tuple[str, ...] = ()
    folder_name: str | None = None


_LIST = Operation(
    "GET",
    "/chats/templates",
    Numbered[TemplateMessage],
    id="listTemplateMessages",
    scopes=("read:chat",),
)
_GET = Operation(
    "GET",
    "/chats/templates/{templateUuid}",
    TemplateMessage,
    id="getTemplateMessage",
    scopes=("read:chat",),
)


class TemplatesResource(Resource):
    """The templates of the token's account, as ``client.templates``."""

    async def get(self, template_uuid: UUID | str) -> TemplateMessage:
        """Read a template. Scope: ``read:chat``.

        Args:
            template_uuid: the template.

        Raises:
            InvalidArgumentError: ``template_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such template.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getTemplateMessage, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_GET, template_uuid)

    def list(
        self, *, folder_name: str | None = None, start: str | None = None, page_size: int = 50
    ) -> Listing[TemplateMessage]:
        """List the templates. Scope: ``read:chat``.

        Args:
            folder_name: only templates in folders whose name contains this, in any case.
            start: ``Page.next`` of an earlier page.
            page_size: templates a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: listTemplateMessages, https://api.fanvue.com/docs/api-reference

        """
        query = {"folderName": folder_name}
        return Listing(self._session, _LIST, query=query, start=start, page_size=page_size)
