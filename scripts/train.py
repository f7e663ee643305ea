"""Train a policy: the same as ``sim2real train``; ``python scripts/train.py --help`` tells more."""

from sim2real.cli import main

if __name__ == "__main__":
    main("train")
