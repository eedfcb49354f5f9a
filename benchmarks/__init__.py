"""How fast and how small Spork is, beside its peers: `python -m benchmarks --help`."""
