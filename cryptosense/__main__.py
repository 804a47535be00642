"""`python -m cryptosense` is the command `cryptosense`."""

from cryptosense.cli import main

if __name__ == "__main__":
    main()
