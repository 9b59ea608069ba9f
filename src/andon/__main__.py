"""`python -m andon` and the `andon` command."""

import sys

from andon.cli.app import main as run


def main() -> None:
    """Runs the command line and leaves with its exit code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
