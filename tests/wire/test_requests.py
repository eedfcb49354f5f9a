"""x"""
from tests.wire.conftest import GET, gateway, upstream
async def test_a_request_reaches_the_backend() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = await gate.ask(GET)
        print(backend.received, answer.head)
    assert answer.status == 200
