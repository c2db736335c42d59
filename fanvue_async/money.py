"""Money as the API counts it: whole US cents."""

from __future__ import annotations

from decimal import Decimal


class Cents(int):
    """An amount in US cents: an ``int`` that knows its dollars.

    Sums, differences, negations and multiples by an ``int`` are ``Cents`` again. A true division is
    a ``float``: a fraction of a cent is not an amount. JSON and pickle treat it as an ``int``.

    >>> Cents(999).dollars
    Decimal('9.99')

    """

    __slots__ = ()

    @property
    def dollars(self) -> Decimal:
        """The same amount in US dollars, exactly."""
        return Decimal(int(self)).scaleb(-2)

    def __add__(self, other: int) -> Cents:
        return NotImplemented if not isinstance(other, int) else Cents(int(self) + int(other))

    def __radd__(self, other: int) -> Cents:
        return self + other

    def __sub__(self, other: int) -> Cents:
        return NotImplemented if not isinstance(other, int) else Cents(int(self) - int(other))

    def __rsub__(self, other: int) -> Cents:
        return NotImplemented if not isinstance(other, int) else Cents(int(other) - int(self))

    def __mul__(self, other: int) -> Cents:
        return NotImplemented if not isinstance(other, int) else Cents(int(self) * int(other))

    def __rmul__(self, other: int) -> Cents:
        return self * other

    def __neg__(self) -> Cents:
        return Cents(-int(self))

    def __pos__(self) -> Cents:
        return self

    def __abs__(self) -> Cents:
        return Cents(abs(int(self)))

    def __repr__(self) -> str:
        return f"Cents({int(self)})"

    def __str__(self) -> str:
        return int.__repr__(self)
