"""Server-Timing: an answer that says who took how long."""

from spork_core.exchange import Exchange, Response


def tell_times(exchange: Exchange, response: Response) -> Response:
    """Server-Timing (W3C): of each instance, in the order it was first called, its own time and its waiting, then the
    attempts, then all of it up to now, in milliseconds."""
    spent: dict[str, list[float]] = {}
    for timing in exchange.timings:
        times = spent.setdefault(timing.instance, [0.0, 0.0])
        times[0] += timing.own
        times[1] += timing.waiting
    parts = []
    for name, (own, waiting) in spent.items():
        waited = f';desc="waiting {waiting * 1000:.2f}"' if waiting >= 0.000005 else ""
        parts.append(f"{name};dur={(own + waiting) * 1000:.2f}{waited}")
    if exchange.attempts:
        parts.append(f"upstream;dur={sum(attempt.took_ns for attempt in exchange.attempts) / 1e6:.2f}")
    parts.append(f"total;dur={exchange.elapsed_ns / 1e6:.2f}")
    response.headers.add("Server-Timing", ", ".join(parts))
    response.raw = b""  # the head as it came lacks the field
    return response
