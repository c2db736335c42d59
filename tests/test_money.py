"""Cents: an int that knows its dollars."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal

import pytest

from fanvue_async import Cents


@pytest.mark.parametrize(
    ("cents", "dollars"),
    [(0, "0.00"), (1, "0.01"), (999, "9.99"), (-300, "-3.00"), (2**60, "11529215046068469.76")],
)
def test_dollars_are_exact(cents: int, dollars: str) -> None:
    """Dollars are decimal, to the cent, however large or negative the amount is."""
    assert str(Cents(cents).dollars) == dollars
    assert Cents(cents).dollars == Decimal(dollars)


@pytest.mark.parametrize(
    ("result", "amount"),
    [
        (Cents(999) + Cents(1), 1000),
        (Cents(999) + 1, 1000),
        (1 + Cents(999), 1000),
        (Cents(999) - 99, 900),
        (1000 - Cents(1), 999),
        (Cents(300) * 3, 900),
        (3 * Cents(300), 900),
        (-Cents(300), -300),
        (+Cents(300), 300),
        (abs(Cents(-300)), 300),
        (sum([Cents(1), Cents(2)], Cents(0)), 3),
        (sum([Cents(1), Cents(2)]), 3),
    ],
)
def test_amounts_stay_amounts(result: object, amount: int) -> None:
    """Adding, taking away, negating and multiplying give Cents again."""
    assert type(result) is Cents
    assert result == amount


def test_fractions_of_a_cent_are_no_amount() -> None:
    """True division and floats leave the type, so that no cent is lost in silence."""
    assert type(Cents(999) / 2) is float
    assert type(Cents(999) * 0.5) is float
    assert type(Cents(999) + 0.5) is float
    assert type(Cents(999) - 0.5) is float
    assert type(0.5 - Cents(999)) is float


def test_it_is_the_int_it_is() -> None:
    """JSON, formatting and hashing see an int; pickles and copies keep the type."""
    amount = Cents(999)

    assert json.dumps({"price": amount}) == '{"price": 999}'
    assert (str(amount), f"{amount:,}", repr(amount)) == ("999", "999", "Cents(999)")
    assert hash(amount) == hash(999)
    for twin in (pickle.loads(pickle.dumps(amount)), copy.deepcopy(amount)):
        assert (type(twin), twin) == (Cents, amount)
