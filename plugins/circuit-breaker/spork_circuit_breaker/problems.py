"""What clients are told while a circuit is open."""

from math import ceil

from spork_core.api import UpstreamUnavailable


class CircuitOpen(UpstreamUnavailable):
    """503: the service failed too often, and nothing is sent to it for a while. Carries ``Retry-After``."""

    code = "circuit-open"

    def __init__(self, instance: str, reason: str, waits: float) -> None:
        """``instance``: whose circuit it is. ``waits``: seconds until it is tried again."""
        super().__init__(
            "The service fails too often and is given a rest.",
            headers={"Retry-After": str(max(1, ceil(waits)))},
            reason=reason,
            sent=False,
        )
        self.instance = instance
