"""CryptoSense: moves a web service's state into Redis and proves, with measurements, that the move is right."""

from importlib.metadata import version

__version__ = version("cryptosense")
