"""``python -m sim2real``: the command line where its script is not on the path."""

from sim2real.cli.entry import main

if __name__ == "__main__":
    main()
