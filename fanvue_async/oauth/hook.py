"""The application's own function, whose bugs are not ours."""

from __future__ import annotations

from collections.abc import Callable

from fanvue_async.log import PASSING
from fanvue_async.log import logger as _logger


class Hook:
    """Calls ``on_sign_in_required``, if there is one."""

    def __init__(self, function: Callable[[str], None] | None) -> None:
        self._function = function
        self._failure_told = False

    def call(self, account: str) -> None:
        """Tell the account; what the hook raises is logged once and ignored."""
        if self._function is None:
            return
        try:
            self._function(account)
        except PASSING:
            raise
        except BaseException:  # noqa: BLE001 - not ours, and the account's state is stored already
            if not self._failure_told:
                self._failure_told = True
                _logger.exception("on_sign_in_required failed; it is logged once")
