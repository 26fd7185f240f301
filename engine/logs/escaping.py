"""Text that stays on its line, and leaves a terminal alone."""

# C0 and C1 controls would break a line or drive the terminal; line and paragraph separators break
# it for some readers; bidirectional controls make a line read as something else.
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F)]
_CONTROLS += range(0x2066, 0x206A)
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", ord("\\"): "\\\\"}


def escape_controls(text: str) -> str:
    """Return the text on one line, with every character spelt out that a terminal would act on."""
    return text.translate(_ESCAPES)
