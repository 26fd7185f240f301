"""HTTP/2 and gRPC framing without I/O: bytes in, events out; calls in, bytes out.

Nothing here knows Trio, sockets or protobuf. `protocol.Http2Protocol` is the whole of a
connection's state; `codec.Codec` is the interface behind which another implementation fits.
"""
