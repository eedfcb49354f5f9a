"""What a client sees when a config's services and dependencies fail: ``spork test --faults``.

The config's own gateway serves on a loopback port. In the place of its services stand scripted upstreams, and between
its plugins and what those depend on a flaky link. One fault after the other, each route is asked; how long a client
would wait is counted, and not waited for.
"""
