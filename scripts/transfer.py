"""Carry a policy into a target: the same as ``sim2real transfer``; ``python scripts/transfer.py --help`` tells more."""

from sim2real.cli import main

if __name__ == "__main__":
    main("transfer")
