"""gRPC on Trio over `engine.rpc.http2`: sockets, connections, calls."""
