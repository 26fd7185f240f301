"""The gRPC edge: one thin module a service. Parses, calls, encodes."""
