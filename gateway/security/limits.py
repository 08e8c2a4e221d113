"""How often somebody may ask, and fail: counted in this process's memory, over a sliding window.

Several gateway processes count each for themselves.
"""

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from gateway.security.refusals import TooManyRequestsError

FAILURES = "20/minute"
"""Failed attempts of one client address."""


class RateLimits:
    """The limits of a process. Nothing here blocks."""

    def __init__(self, rate: str, failures: str = FAILURES) -> None:
        """Raises ValueError where ``rate`` is not written like "1200/minute"."""
        self._requests = _parse(rate)
        self._failures = _parse(failures)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, principal: str) -> None:
        """One request more; raises TooManyRequestsError where it is one too many."""
        if not self._limiter.hit(self._requests, "request", principal):
            raise TooManyRequestsError(self._wait(self._requests, "request", principal))

    def check_failures(self, address: str) -> None:
        """Raises TooManyRequestsError where an address has failed too often of late."""
        if not self._limiter.test(self._failures, "failure", address):
            raise TooManyRequestsError(self._wait(self._failures, "failure", address), failures=True)

    def count_failure(self, address: str) -> None:
        self._limiter.hit(self._failures, "failure", address)

    def _wait(self, item: RateLimitItem, *names: str) -> int:
        reset = self._limiter.get_window_stats(item, *names).reset_time
        return max(1, math.ceil(reset - time.time()))


def _parse(rate: str) -> RateLimitItem:
    try:
        return parse(rate)
    except ValueError:
        raise ValueError("CLINCODE_RATE_LIMIT: a rate is written like 1200/minute") from None
