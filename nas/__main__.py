"""Entry point of the `nas` command and of `python -m nas`."""

from __future__ import annotations

import sys


def main() -> None:
    """Import and run the command line; Ctrl-C during the import exits without a traceback, as it does later."""
    try:
        from nas.commands.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
