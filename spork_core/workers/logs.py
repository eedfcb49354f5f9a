"""Where the process's own log lines go when nobody has decided otherwise."""

import logging

_FORMAT = "%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s"


def set_up_logging(level: int | str = logging.INFO) -> None:
    """Lines of ``level`` and above to stderr; leaves handlers that are there already alone. Raises ValueError for a
    level that logging does not know."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        root.addHandler(handler)
    root.setLevel(level)
