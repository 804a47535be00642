"""`python -m cryptosense.workbench.report RUN TARGET` keeps a small copy of a run's report, as in `reports/example`."""

import sys
from pathlib import Path

from cryptosense.errors import CryptoSenseError
from cryptosense.workbench.report import copy_example


def main() -> int:
    """Exit code 0, or 2 with one line when it cannot be done."""
    if len(sys.argv) != 3:
        print("usage: python -m cryptosense.workbench.report RUN TARGET (two folders)", file=sys.stderr)
        return 2
    try:
        target = copy_example(Path(sys.argv[1]), Path(sys.argv[2]))
    except CryptoSenseError as error:
        print(f"cryptosense: {error}", file=sys.stderr)
        return 2
    print(f"Copied to {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
