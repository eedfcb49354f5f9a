"""``python -m spork_core`` is ``spork``."""

from spork_core.cli import main

if __name__ == "__main__":
    main()
