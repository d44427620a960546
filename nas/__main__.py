"""The `nas` program; also `python -m nas`."""

from __future__ import annotations

import sys


def main() -> None:
    """Import the command line and run it: a Ctrl-C while it is still importing ends as quietly as a later one."""
    try:
        from nas.commands.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
