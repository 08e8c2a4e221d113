"""The tail of the chi-squared distribution, so that no package is needed for one function."""

import math

_TERMS = 10_000
_PRECISION = 1e-14
_TINY = 1e-300


def chi2_tail(statistic: float, df: float) -> float:
    """P(X ≥ ``statistic``) for chi-squared with ``df`` degrees of freedom, whole or not: Q(df/2, statistic/2).

    Raises:
        ValueError: ``df`` is not above 0, or ``statistic`` is below 0.
    """
    if not df > 0 or not statistic >= 0:
        raise ValueError("chi-squared needs df above 0 and a statistic of at least 0")
    return upper_gamma(df / 2, statistic / 2)


def upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x): the series of Abramowitz and Stegun 6.5.29 below a + 1,
    from there the continued fraction 6.5.31 by Lentz's method (Numerical Recipes, 6.2)."""
    if x == 0:
        return 1.0
    if math.isinf(x):
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1.0 - front * _series(a, x) if x < a + 1 else front * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, _TERMS):
        term *= x / (a + n)
        total += term
        if term < total * _PRECISION:
            break
    return total


def _fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c = 1 / _TINY
    d = value = 1 / b
    for n in range(1, _TERMS):
        step = n * (a - n)
        b += 2
        d = 1 / _away_from_zero(step * d + b)
        c = _away_from_zero(b + step / c)
        value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
