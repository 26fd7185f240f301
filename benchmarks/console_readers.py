"""Open Consoles without a browser: connections that take what the engine sends, and drop it.

A process of its own, `python -m benchmarks.console_readers ADDRESS COUNT`: it says `open` once
every connection has had something, and ends with its standard input.
"""

import selectors
import socket
import sys

_CHUNK_BYTES = 65_536
_OPEN_WITHIN_S = 30.0


def main() -> None:
    """Read until standard input ends."""
    host, _, port = sys.argv[1].rpartition(":")
    request = f"GET /api/stream HTTP/1.1\r\nHost: {sys.argv[1]}\r\n\r\n".encode()
    streams = []
    for _ in range(int(sys.argv[2])):
        stream = socket.create_connection((host, int(port)), timeout=_OPEN_WITHIN_S)
        stream.sendall(request)
        answer = stream.recv(_CHUNK_BYTES)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the engine refused a page: {answer[:80]!r}")
        streams.append(stream)
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("open", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.recv(_CHUNK_BYTES):
                    raise SystemExit("the engine ended a stream")


if __name__ == "__main__":
    main()
