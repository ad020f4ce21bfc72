"""A way to a server on which each answer takes longer. Bytes are passed on as they come, answers after the latency."""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader, StreamWriter

_CHUNK = 1 << 16


def serve(port: int, latency: float) -> None:
    """Serve on a free loopback port, which is printed, what listens on `port`; ends when standard input does."""
    asyncio.run(_serve(port, latency))


async def _serve(port: int, latency: float) -> None:
    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        there, thither = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass(reader, thither, 0), _pass(there, writer, latency), return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


async def _pass(reader: StreamReader, writer: StreamWriter, latency: float) -> None:
    while data := await reader.read(_CHUNK):
        if latency:
            asyncio.get_running_loop().call_later(latency, writer.write, data)
        else:
            writer.write(data)
            await writer.drain()
    writer.close()
