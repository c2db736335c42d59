"""Applications of the app store, and who subscribes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from fanvue_async.testing.exchange import look_up
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of

if TYPE_CHECKING:
    from fanvue_async.testing.world import Owner


class Apps:
    """As ``fake.apps``."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.subscriptions: dict[str, Row] = {}
        """What ``GET /apps/{appUuid}/subscription/me`` shows, by the app's UUID; may be changed."""
        self.states: dict[str, Row] = {}
        """What ``GET /apps/{appUuid}/subscription-status`` shows, likewise."""

    def add(self, name: str = "App", uuid: UUID | str | None = None) -> str:
        """Add an app without subscriptions. Returns its UUID."""
        app = new_uuid() if uuid is None else uuid_of(uuid)
        self.subscriptions[app] = {
            "appUuid": app,
            "userUuid": self._owner.uuid,
            "hasActiveSubscription": False,
            "status": "none",
            "planUuid": None,
            "planName": None,
            "currentPeriodEnd": None,
            "cancelAtPeriodEnd": False,
            "managedCreators": [],
        }
        self.states[app] = {
            "appUuid": app,
            "appName": name,
            "availability": "complete",
            "overallStatus": "notConfigured",
            "pricingPlans": [],
        }
        return app

    def mine(self, call: Call) -> Any:
        """GET /apps/{appUuid}/subscription/me."""
        return look_up(self.subscriptions, call.path["appUuid"], "App")

    def state(self, call: Call) -> Any:
        """GET /apps/{appUuid}/subscription-status."""
        return look_up(self.states, call.path["appUuid"], "App")


_READ = Access("read:self")

APPS: Routes = (
    Apps,
    (
        Route("GET", "/apps/{appUuid}/subscription/me", Apps.mine, _READ, errors="UVI"),
        Route("GET", "/apps/{appUuid}/subscription-status", Apps.state, _READ, errors="UVI"),
    ),
)
