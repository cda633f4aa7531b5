"""What keeps a service from harm: ``queue``, ``retries``, ``circuit_breaker``."""

from __future__ import annotations

from pydantic import Field

from vegurtx.balance.config.fields import Count, PositiveSeconds, Rate, Section, Share


class QueueConfig(Section):
    """Requests that wait when no replica can take them."""

    what = "a mapping, true or false"
    if_true = {}

    length: Count = Field(default=100, description="Requests that may wait; one more gets 503 at once.")
    timeout: PositiveSeconds = Field(
        default=5.0,
        description="Seconds that a request may wait, then it gets 503. Less than the setting router_timeout.",
    )


class RetryConfig(Section):
    """What happens after a failed try. Only what can be repeated is repeated."""

    what = "a mapping, true or false"
    if_true = {}

    attempts: Count = Field(default=2, description="Tries of one request that may follow its first one.")
    budget: Share = Field(default=0.2, description="Repetitions as a share of the recent requests.")
    min_per_second: Rate = Field(default=10.0, description="Repetitions a second that are always allowed.")


class BreakerConfig(Section):
    """A service that fails is left alone for a while."""

    what = "a mapping, true or false"
    if_true = {}

    errors: Count = Field(default=10, description="Errors within `window` that open the circuit.")
    window: PositiveSeconds = Field(default=10.0, description="Seconds in which they are counted.")
    open_for: PositiveSeconds = Field(
        default=5.0, description="Seconds that it stays open: requests get 503."
    )
    half_open: Count = Field(default=1, description="Requests that then try whether the service is back.")
