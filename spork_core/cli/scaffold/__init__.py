"""What ``spork new-plugin`` writes: a distribution of its own, made of one snippet for each hook asked for."""
