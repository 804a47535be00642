"""`python -m cryptosense.controls NAME --host H --port P`: one instance of a flawed service."""

import argparse
import sys

from cryptosense.controls.control import catalog, find_control
from cryptosense.errors import UsageError
from cryptosense.http.server import run


def main() -> int:
    """Serves until a signal comes; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cryptosense.controls", description=__doc__)
    parser.add_argument("name", help=", ".join(catalog()))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3001, help="0 takes a free one")
    arguments = parser.parse_args()
    try:
        control = find_control(arguments.name)
    except UsageError as error:
        print(f"cryptosense: {error}", file=sys.stderr)
        return 2
    return run(control.app, arguments.host, arguments.port)


if __name__ == "__main__":
    sys.exit(main())
