"""What was done since the start, over all connections there were; for operators and metrics."""


class Counts:
    """Numbers that only go up."""

    __slots__ = ("commands", "connections", "errors", "last_problem", "refused", "timeouts", "writes")

    def __init__(self) -> None:
        self.commands = 0
        """Commands sent."""
        self.writes = 0
        """Writes that took them there."""
        self.timeouts = 0
        """Commands that had no answer in time."""
        self.refused = 0
        """Callers that were told at once that the store is down."""
        self.errors = 0
        """Commands that the server refused."""
        self.connections = 0
        self.last_problem: str | None = None
        """Why it was down, when it was last; None: it never was."""

    def __repr__(self) -> str:
        return f"<Counts {self.commands} commands in {self.writes} writes>"
