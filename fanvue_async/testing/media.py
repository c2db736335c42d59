"""The media that an account has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from fanvue_async.testing.exchange import look_up
from fanvue_async.testing.users import Row, new_uuid, uuid_of

if TYPE_CHECKING:
    from fanvue_async.testing.world import Owner

KINDS = ("image", "video", "audio", "document")
VARIANTS = ("main", "thumbnail", "thumbnail_gallery", "blurred")
STATES = ("created", "processing", "ready", "error")
State = Literal["created", "processing", "ready", "error"]


class Media:
    """As ``fake.media``. Signed addresses lead nowhere."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._rows: dict[str, Row] = {}
        self._variants: dict[str, tuple[str, ...]] = {}
        self._uses: dict[str, tuple[str, ...]] = {}
        self._buyers: dict[str, set[str]] = {}

    def add(  # noqa: PLR0913 - all but one are options
        self,
        name: str | None = None,
        *,
        kind: str = "image",
        state: State = "ready",
        uuid: UUID | str | None = None,
        variants: tuple[str, ...] = ("main", "thumbnail"),
        usage: tuple[str, ...] = (),
        recommended_price: int | None = None,
    ) -> str:
        """Add a media item.

        Args:
            name: its title.
            kind: ``"image"``, ``"video"``, ``"audio"`` or ``"document"``.
            state: ``"created"``, ``"processing"``, ``"ready"`` or ``"error"``.
            uuid: by default a new one.
            variants: the forms that it has.
            usage: where it is used, for the filter of that name.
            recommended_price: US cents.

        Returns:
            Its UUID.

        """
        made = new_uuid() if uuid is None else uuid_of(uuid)
        self._rows[made] = {
            "uuid": made,
            "status": state,
            "createdAt": self._owner.world.moment(),
            "caption": None,
            "description": None,
            "name": name,
            "mediaType": kind,
            "recommendedPrice": recommended_price,
        }
        self._variants[made] = variants
        self._uses[made] = usage
        return made

    def set_state(self, uuid: UUID | str, state: State) -> None:
        """Let the processing of a media item come this far."""
        self._rows[uuid_of(uuid)]["status"] = state

    def sell(self, uuid: UUID | str, user: UUID | str) -> None:
        """Let a user buy a media item, for ``purchasedBy``."""
        self._buyers.setdefault(uuid_of(uuid), set()).add(uuid_of(user))

    def newest(self) -> list[str]:
        """Return the UUIDs of all, newest first."""
        return list(reversed(self._rows))

    def uses(self, uuid: str) -> tuple[str, ...]:
        """Return where a media item is used."""
        return self._uses[uuid]

    def remove(self, uuid: str) -> None:
        """Forget a media item; messages that hold it stay as they are."""
        del self._rows[uuid]

    def has(self, uuid: str) -> bool:
        """Return whether there is such a media item."""
        return uuid in self._rows

    def kind(self, uuid: str) -> str:
        """Return its kind; an unknown item counts as an image."""
        return str(self._rows[uuid]["mediaType"]) if uuid in self._rows else "image"

    def name(self, uuid: str) -> str | None:
        """Return its title."""
        return self._rows[uuid]["name"] if uuid in self._rows else None

    def find(self, uuid: str) -> Row:
        """Return a media item.

        Raises:
            RefusedError: there is no such media item (404).

        """
        return look_up(self._rows, uuid, "Media")

    def chat_variants(self, uuid: str, wanted: list[str]) -> list[Row]:
        """Return the forms of a media item that were asked for, as chats show them."""
        have = self._variants.get(uuid, ("main",))
        return [
            {
                "variantType": variant,
                "displayPosition": have.index(variant),
                "url": f"https://media.example.com/{uuid}/{variant}?signature=fake",
                "width": 640,
                "height": 480,
                "lengthMs": None,
            }
            for variant in have
            if variant in wanted
        ]

    def item(self, uuid: str, query: Mapping[str, Any]) -> Row:
        """Return a media item as the API shows it: until it is ready, only its state."""
        row = self._rows[uuid]
        if row["status"] != "ready":
            return {"uuid": uuid, "status": row["status"]}
        forms = self.chat_variants(uuid, query.get("variants") or [])
        shown: Row = {**row, "variants": [{"uuid": new_uuid(), **form} for form in forms]}
        if query.get("purchasedBy") is not None:
            shown["purchasedByFan"] = query["purchasedBy"] in self._buyers.get(uuid, ())
        return shown
