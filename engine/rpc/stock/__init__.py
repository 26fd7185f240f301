"""gRPC on purerpc's protocol layer and Trio sockets."""
