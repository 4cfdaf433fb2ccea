"""``python -m scalesearch``: the command line where its script is not on the path."""

from scalesearch.cli import main

if __name__ == "__main__":
    main()
