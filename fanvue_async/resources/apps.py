"""Apps: who pays for an application of the app store."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.resources._resource import Resource


@attrs.frozen(kw_only=True)
class CreatorAppSubscription:
    """The subscription of a creator to an app."""

    user_uuid: str
    has_active_subscription: bool = ABSENT
    status: str = ABSENT
    """``active``, ``pending``, ``cancelled`` or ``none``."""
    plan_uuid: str | None = None
    plan_name: str | None = None
    current_period_end: datetime | None = None
    """Declared as plain text; that it is a timestamp is assumed."""
    cancel_at_period_end: bool = ABSENT


@attrs.frozen(kw_only=True)
class AppSubscription(CreatorAppSubscription):
    """The subscription of the token's user to an app."""

    app_uuid: str = ABSENT
    managed_creators: tuple[CreatorAppSubscription, ...] = ()
    """Those of the creators whom a member of an agency's team works for; else empty."""


@attrs.frozen(kw_only=True)
class AppPlan:
    """A plan of an app."""

    uuid: str
    name: str = ABSENT
    billing_type: str = ABSENT
    """``free``, ``one_time`` or ``recurring``."""
    interval: str | None = None
    """``monthly`` or ``yearly``."""
    price: float = ABSENT
    """The unit is not documented; the API's example reads as minor units of the currency."""
    currency_code: str = ABSENT
    """Such as ``USD``."""
    status: str = ABSENT
    """``pending_setup``, ``active`` or ``withdrawn``."""


@attrs.frozen(kw_only=True)
class AppSubscriptionStatus:
    """How an app of the token's user is sold."""

    app_uuid: str
    app_name: str = ABSENT
    availability: str = ABSENT
    """``complete`` or ``horizonUnavailable``."""
    overall_status: str = ABSENT
    """``notConfigured``, ``pendingSetup``, ``active``, ``withdrawn``, ``mixed`` or
    ``unavailable``."""
    pricing_plans: tuple[AppPlan, ...] = ()


_MY_SUBSCRIPTION = Operation(
    "GET",
    "/apps/{appUuid}/subscription/me",
    AppSubscription,
    id="getAppCurrentUserSubscription",
    scopes=("read:self",),
)
_SUBSCRIPTION_STATUS = Operation(
    "GET",
    "/apps/{appUuid}/subscription-status",
    AppSubscriptionStatus,
    id="getAppSubscriptionStatus",
    scopes=("read:self",),
)


class AppsResource(Resource):
    """Applications of the app store, as ``client.apps``."""

    async def my_subscription(self, app_uuid: UUID | str) -> AppSubscription:
        """Read whether the token's user pays for an app. Scope: ``read:self``.

        Args:
            app_uuid: the app that the token was issued to.

        Raises:
            InvalidArgumentError: ``app_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such app.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getAppCurrentUserSubscription, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_MY_SUBSCRIPTION, app_uuid)

    async def subscription_status(self, app_uuid: UUID | str) -> AppSubscriptionStatus:
        """Read how an app of the token's user is sold. Scope: ``read:self``.

        Args:
            app_uuid: an app of the token's user.

        Raises:
            InvalidArgumentError: ``app_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such app, or it belongs to somebody else.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getAppSubscriptionStatus, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_SUBSCRIPTION_STATUS, app_uuid)
