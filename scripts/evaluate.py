"""Judge a policy: the same as ``sim2real evaluate``; ``python scripts/evaluate.py --help`` tells more."""

from sim2real.cli import main

if __name__ == "__main__":
    main("evaluate")
