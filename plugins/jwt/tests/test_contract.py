"""The contract: every law of the kit, for somebody with a good token, for somebody with none, and with a provider."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from spork_core.testing import Effort, contract_suite

SECRET = "n0t-a-secret-but-48-bytes-long-for-the-contract!"
CLAIMS = {"sub": "alice", "iss": "https://id.example.com", "aud": "spork", "scope": "read write", "exp": 4_000_000_000}
TOKEN = jwt.encode({**CLAIMS, "jti": "t1", "iat": 1_700_000_000, "roles": ["admin"]}, SECRET, "HS256")
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = jwt.get_algorithm_by_name("ES256").to_jwk(PRIVATE.public_key(), as_dict=True)
LESS = Effort(exchanges=400, examples=8)


class Keys(BaseHTTPRequestHandler):
    """Answers with the provider's keys."""

    def do_GET(self) -> None:
        content = json.dumps({"keys": [{**PUBLIC, "kid": "k1"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


PROVIDER = HTTPServer(("127.0.0.1", 0), Keys)  # has its port from here on, and answers during the tests


@pytest.fixture(scope="module", autouse=True)
def _provider() -> Iterator[None]:
    thread = threading.Thread(target=PROVIDER.serve_forever, args=(0.02,))
    thread.start()
    yield
    PROVIDER.shutdown()
    thread.join()
    PROVIDER.server_close()


TestContract = contract_suite(
    "jwt",
    config={
        "secret": SECRET,
        "algorithms": ["HS256"],
        "issuer": "https://id.example.com",
        "audience": "spork",
        "max_lifetime": "30000d",  # the laws live in any year
        "forward": {"X-User-Id": "sub", "X-User-Roles": "roles"},
        "cache": {"entries": 100},
        "revocation": True,
    },
    headers={"Authorization": f"Bearer {TOKEN}"},
    effort=Effort(exchanges=3000),
)

TestWithoutToken = contract_suite(
    "jwt", config={"secret": SECRET, "strip": True, "cookie": "session", "query": "token"}, effort=LESS
)

TestWithProvider = contract_suite(
    "jwt",
    config={
        "jwks_url": f"http://127.0.0.1:{PROVIDER.server_port}/keys",
        "issuer": "https://id.example.com",
        "audience": "spork",
        "cache": {"entries": 100},
    },
    headers={"Authorization": f"Bearer {jwt.encode(CLAIMS, PRIVATE, 'ES256', headers={'kid': 'k1'})}"},
    effort=LESS,
)

SAID_ONCE = (
    "is_packaged_for_everybody",
    "its_readme_tells_what_it_does",
    "its_readme_agrees_with_the_code",
    "its_examples_load",
    "imports_fast_and_quietly",
    "describes_each_setting",
    "its_defaults_are_valid",
    "refuses_bad_values_with_a_path",
)
"""Laws about the class and its files, which no other config changes: the first suite has them."""

for law in SAID_ONCE:
    delattr(TestWithoutToken, f"test_{law}")
    delattr(TestWithProvider, f"test_{law}")
