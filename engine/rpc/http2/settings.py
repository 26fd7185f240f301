"""The settings that both sides open a connection with (RFC 9113, sections 3.4 and 6.5)."""

from engine.rpc.http2 import frames
from engine.rpc.http2.frame_reader import BrokenRuleError
from engine.rpc.http2.frames import ErrorCode, Setting
from engine.rpc.http2.limits import Http2Limits

_SETTING_BYTES = 6


def pack_preface(limits: Http2Limits, *, client: bool) -> bytes:
    """Return what a side sends first: its settings, and how far the connection's window is open."""
    settings = {
        Setting.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
        Setting.MAX_FRAME_SIZE: limits.max_frame_bytes,
        Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_bytes,
    }
    if client:
        settings[Setting.ENABLE_PUSH] = 0
    else:
        settings[Setting.MAX_CONCURRENT_STREAMS] = limits.max_concurrent_streams
    preface = frames.CLIENT_PREFACE if client else b""
    preface += frames.pack_settings(settings)
    extra = limits.connection_window_bytes - frames.DEFAULT_WINDOW_BYTES
    if extra:
        preface += frames.pack_window_update(0, extra)
    return preface


def read_settings(payload: bytes, *, from_client: bool) -> list[tuple[int, int]]:
    """Return the parameters and values of a SETTINGS frame, unknown parameters too, in order.

    Raises:
      BrokenRuleError: its size, or a value, is not allowed.
    """
    if len(payload) % _SETTING_BYTES:
        raise BrokenRuleError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS has a wrong size")
    settings = frames.unpack_settings(payload)
    for setting, value in settings:
        _check(setting, value, from_client=from_client)
    return settings


def _check(setting: int, value: int, *, from_client: bool) -> None:
    if setting == Setting.ENABLE_PUSH and (value > 1 or (value and not from_client)):
        raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is invalid")
    if setting == Setting.INITIAL_WINDOW_SIZE and value > frames.MAX_WINDOW:
        raise BrokenRuleError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is invalid")
    if setting == Setting.MAX_FRAME_SIZE and not (
        frames.DEFAULT_MAX_FRAME_BYTES <= value <= frames.LARGEST_MAX_FRAME_BYTES
    ):
        raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is invalid")
