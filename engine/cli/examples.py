"""Examples below the help of a command."""


def examples(*lines: str) -> str:
    """Return the end of a command's help.

    Args:
      lines: commands without the program's name.
    """
    # The first character keeps click from filling the lines up.
    shown = [f"  python main.py {line}".rstrip() for line in lines]
    return "\n".join(["\b", "Examples:", *shown])
