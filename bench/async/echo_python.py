#!/usr/bin/env python3
"""echo_python.py asyncio|uvloop protocol|streams - an echo server in Python, over one of the two loops."""
import asyncio
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def serve(reader, writer):
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except ConnectionResetError:
        pass  # how short ones end
    writer.close()


async def main(style):
    if style == "protocol":
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.install()
asyncio.run(main(sys.argv[2]))
