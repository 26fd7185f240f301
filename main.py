"""Trellis: `python main.py --help`."""

from engine import early_stop

if __name__ == "__main__":
    early_stop.arm()

    from engine.cli import main

    main()
