"""Generated mutants that change nothing that anybody could see, and why."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str], str] = {
    (
        'value = re.split(r"[?#]", value, maxsplit=1)[0]',
        'value = re.split(r"[?#]", value, )[0]',
    ): "only the first part is used, however many there are",
    (
        'value = re.split(r"[?#]", value, maxsplit=1)[0]',
        'value = re.split(r"[?#]", value, maxsplit=2)[0]',
    ): "only the first part is used, however many there are",
    (
        "if self._retries < self._capacity:",
        "if self._retries <= self._capacity:",
    ): "a full quota is set to what it is",
    (
        "return bool(secret.reveal() == self.token)",
        "return bool(None)",
    ): "a token that is known is checked and hashed again, to the same result",
}
