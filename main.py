"""Trellis: `python main.py --help`."""

from engine.cli import main

if __name__ == "__main__":
    main()
