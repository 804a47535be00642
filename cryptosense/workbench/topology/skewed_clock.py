"""Wall clocks that can be set wrong for one Python process, without root and without the program's knowledge.

`make_clock(folder)` writes a `sitecustomize.py` that Python runs at its start when `folder` is on `PYTHONPATH`. It puts
an offset before everything that reads the wall clock (`time.time`, `time_ns`, `gmtime`, `localtime`, `ctime`,
`datetime.now`, `utcnow`, `today`). `date` stays as it is, because pydantic makes classes of it. The offset is a number
of eight bytes in a file that both sides map, so it can be changed while the process runs. The monotonic clock is left
alone, as on a machine whose clock is set.
"""

import mmap
import struct
from pathlib import Path

CLOCK_FILE = "CRYPTOSENSE_CLOCK_FILE"

_SITECUSTOMIZE = '''\
"""Sets this process's wall clock off by the seconds in the file that CRYPTOSENSE_CLOCK_FILE names."""

import datetime
import mmap
import os
import struct
import time

with open(os.environ["CRYPTOSENSE_CLOCK_FILE"], "rb") as file:
    shared = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

unpack = struct.Struct("d").unpack_from
true_time, true_time_ns = time.time, time.time_ns
true_datetime = datetime.datetime


def offset():
    return unpack(shared)[0]


def skewed_time():
    return true_time() + unpack(shared)[0]


def skewed_time_ns():
    return true_time_ns() + int(unpack(shared)[0] * 1_000_000_000)


def at_now(function):
    def call(seconds=None):
        return function(skewed_time() if seconds is None else seconds)

    return call


time.time, time.time_ns = skewed_time, skewed_time_ns
time.gmtime, time.localtime, time.ctime = at_now(time.gmtime), at_now(time.localtime), at_now(time.ctime)


class LooksTrue(type):
    """Only true datetimes ever exist, so that C code that wants their exact type is content."""

    def __instancecheck__(cls, value):
        return isinstance(value, cls.__mro__[1])

    def __subclasscheck__(cls, other):
        return issubclass(other, cls.__mro__[1])


class datetime_(true_datetime, metaclass=LooksTrue):
    def __new__(cls, *words, **named):
        return true_datetime(*words, **named)

    @classmethod
    def now(cls, tz=None):
        return true_datetime.fromtimestamp(skewed_time(), tz)

    @classmethod
    def utcnow(cls):
        return true_datetime.fromtimestamp(skewed_time(), datetime.timezone.utc).replace(tzinfo=None)

    @classmethod
    def today(cls):
        return cls.now()

    fromtimestamp = true_datetime.fromtimestamp
    fromisoformat = true_datetime.fromisoformat
    fromordinal = true_datetime.fromordinal
    combine = true_datetime.combine
    strptime = true_datetime.strptime


datetime_.__name__ = datetime_.__qualname__ = "datetime"
datetime_.__module__ = "datetime"
datetime.datetime = datetime_
'''


class SkewedClock:
    """The handle on one process's wall clock. `environment` is what that process must be started with."""

    def __init__(self, folder: Path, *, offset_s: float = 0.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
        self._folder = folder
        self._file = folder / "offset"
        self._file.write_bytes(struct.pack("d", offset_s))

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self._folder), CLOCK_FILE: str(self._file)}

    @property
    def offset_s(self) -> float:
        """Seconds by which the clock runs ahead of the machine's."""
        value: float = struct.unpack("d", self._file.read_bytes())[0]
        return value

    def set_offset(self, seconds: float) -> None:
        """Takes effect at the process's next look at its clock."""
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
            shared[:8] = struct.pack("d", seconds)
