"""What verifying and reading a delivery costs, beyond ``hmac`` and ``json.loads`` alone.

Run: ``python tests/benchmarks/webhooks.py``. Both are measured by turns, a few thousand deliveries
at a time, in CPU time of this process; the medians are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import statistics
import sys
import time
from typing import TYPE_CHECKING

from fanvue_async.webhooks import parse, verify

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_made_up"
_AT_MOST = 60  # microseconds
_USER = {"uuid": "f1b0c8de-0000-4000-8000-000000000001", "handle": "fan", "display_name": "A Fan"}
_DELIVERY = {
    "id": "evt_1",
    "type": "checkout_link.payment.succeeded",
    "timestamp": "2025-11-26T19:03:07.000Z",
    "data": {
        "object": "payment",
        "id": "FVC-1",
        "status": "paid",
        "billing_reason": "one_time",
        "gross": 1999,
        "net": 1500,
        "fees": {"fanvue_fee": 400, "transaction_fee": 99},
        "currency": "USD",
        "paid_in_full": False,
        "installment": {"number": 1, "of": 3},
        "subscription": {"uuid": "s-1"},
        "client_reference_id": "order-7",
        "transaction_id": "t-1",
        "created_at": "2025-11-26T19:03:07.000Z",
        "paid_at": "2025-11-26T19:03:07.000Z",
        "checkout_link": {"uuid": "l-1", "name": "Course", "product_uuid": "p-1"},
        "purchaser": _USER,
        "creator": {"uuid": "c0ffee00-0000-4000-8000-000000000002"},
        "metadata": {f"key_{number}": "x" * 100 for number in range(10)},
    },
}
BODY = json.dumps(_DELIVERY).encode()


def headers(signed_at: int) -> dict[str, str]:
    """Return headers as a server has them, with a good signature among them."""
    signed = b"%d.%b" % (signed_at, BODY)
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    return {
        "Host": "bot.example",
        "Accept": "*/*",
        "Accept-Encoding": "gzip",
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
        "User-Agent": "Fanvue",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Fanvue-Signature": f"t={signed_at},v0={digest}",
    }


def by_hand(sent: dict[str, str]) -> object:
    """Verify and decode with the standard library, and nothing more."""
    signed_at, _, digest = sent["X-Fanvue-Signature"].removeprefix("t=").partition(",v0=")
    signed = signed_at.encode() + b"." + BODY
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, digest):
        raise ValueError(digest)
    return json.loads(BODY)


def by_package(sent: dict[str, str]) -> object:
    """Verify and read with the package."""
    verify(BODY, sent, secrets=[SECRET])
    return parse(BODY)


def cpu(work: Callable[[dict[str, str]], object], number: int) -> float:
    """Return microseconds of CPU for one delivery."""
    sent = headers(int(time.time()))
    began = time.process_time()
    for _ in range(number):
        work(sent)
    return (time.process_time() - began) / number * 1e6


def measure(*, rounds: int = 15, number: int = 1_000) -> tuple[float, float]:
    """Return the medians of both, measured by turns."""
    pairs = [(cpu(by_hand, number), cpu(by_package, number)) for _ in range(rounds)]
    return statistics.median(hand for hand, _ in pairs), statistics.median(
        ours for _, ours in pairs
    )


def main() -> None:
    """Print both medians and their difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    hand, ours = measure(rounds=parser.parse_args().rounds)
    sys.stdout.write(
        f"{len(BODY)} bytes: by hand {hand:.1f} µs, with the package {ours:.1f} µs, "
        f"{ours - hand:.1f} µs more (at most {_AT_MOST})\n"
    )
    if ours - hand > _AT_MOST:
        sys.exit("a delivery costs more than it should on an idle machine")


if __name__ == "__main__":
    main()
