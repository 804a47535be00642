"""`python -m cryptosense.http --host H --port P`: one instance of the reference service."""

import argparse
import sys

from cryptosense.http.app import create_app
from cryptosense.http.server import run


def main() -> int:
    """Serves until a signal comes; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cryptosense.http", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3001, help="0 takes a free one")
    arguments = parser.parse_args()
    return run(create_app, arguments.host, arguments.port)


if __name__ == "__main__":
    sys.exit(main())
