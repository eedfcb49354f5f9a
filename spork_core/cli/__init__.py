"""The command line: ``spork``, with one module for each command, imported when it is named."""


def main() -> None:
    """What the console script calls."""
    from spork_core.cli.app import spork

    spork(prog_name="spork")
