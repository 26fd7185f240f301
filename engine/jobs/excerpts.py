"""Texts that workers send, cut to what is worth keeping. Pure."""

MOST_STACK_CHARACTERS = 32 * 1024
"""Hundreds of frames; a handler that recurses without end has a thousand in one thread."""
MOST_MESSAGE_CHARACTERS = 4 * 1024
MOST_NOTE_CHARACTERS = 1024
_GAP_CHARACTERS = 60


def cut_stack(text: str) -> str:
    """Return a stack without its middle if it is too long.

    The innermost frames of the main thread are the last lines or the first ones, as the tool has it
    that wrote them.
    """
    return cut_text(text, MOST_STACK_CHARACTERS)


def cut_message(text: str) -> str:
    """Return what an error says without its middle if it is too long."""
    return cut_text(text, MOST_MESSAGE_CHARACTERS)


def cut_note(text: str) -> str:
    """Return what a job says of itself, at most so much of it."""
    return cut_text(text, MOST_NOTE_CHARACTERS)


def cut_text(text: str, most: int) -> str:
    """Return a text of at most so many characters, which lacks its middle if it is cut.

    Args:
      most: at least 200.
    """
    if len(text) <= most:
        return text
    half = (most - _GAP_CHARACTERS) // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters are left out ...\n{text[-half:]}"
