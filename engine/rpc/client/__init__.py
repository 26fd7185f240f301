"""Clients of gRPC services: a channel for Trio, and a blocking one for plain code.

Failed calls raise purerpc's exceptions (`purerpc.UnavailableError` and so on).
"""

from engine.rpc.client.blocking import BlockingChannel
from engine.rpc.client.channel import Channel, open_channel
from engine.rpc.client.options import ChannelOptions
from engine.rpc.client.stubs import bind

__all__ = ["BlockingChannel", "Channel", "ChannelOptions", "bind", "open_channel"]
