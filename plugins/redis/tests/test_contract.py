"""The contract: every law of the kit that applies to this plugin, with a server that is there, and one of its own."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spork_core.testing import Effort, contract_suite
from tests.services import valkey

PATH = Path(tempfile.gettempdir()) / f"spork-redis-contract-{os.getpid()}"
"""Known before there is a server: the suites are made at import."""
PASSWORD = "let-me-in-to-the-store"


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    with valkey() as server:
        PATH.unlink(missing_ok=True)
        PATH.symlink_to(server.path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(server.path)
            client.sendall(f"CONFIG SET requirepass {PASSWORD}\r\n".encode())
            assert client.recv(16) == b"+OK\r\n"
        yield
        PATH.unlink()


TestContract = contract_suite("redis", config={"url": f"unix://{PATH}?db=1", "password": PASSWORD})
TestEmbedded = contract_suite("redis", config={"url": "embedded"}, effort=Effort(exchanges=500, examples=10))
