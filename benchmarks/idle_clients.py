"""Idle clients: connects to a port of 127.0.0.1, gets one answer each, says "ready" and stays until its input ends.

Run by benchmarks/memory.py: python idle_clients.py PORT COUNT
"""

import asyncio
import sys

AT_ONCE = 64


async def client(port: int, few: asyncio.Semaphore) -> asyncio.StreamWriter:
    async with few:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/users/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").lower().split("\r\n")
        if status.split()[1] != "200":
            raise RuntimeError(status)
        lengths = [int(line.split(":")[1]) for line in lines if line.startswith("content-length:")]
        await reader.readexactly(lengths[0])
    return writer


async def main(port: int, count: int) -> None:
    few = asyncio.Semaphore(AT_ONCE)
    try:
        writers = await asyncio.gather(*(client(port, few) for _ in range(count)))
    except (OSError, EOFError, RuntimeError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for writer in writers:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
