"""How many events fell into any stretch of a given length: the sliding window that a limit is declared over."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def trailing_counts(moments: ArrayLike, window_s: float) -> pd.DataFrame:
    """At each moment, how many (itself included) lie in the window that ends there.

    Columns: at (sorted), admitted. The window is open at its old end: what is exactly `window_s` old has left it.
    """
    at = np.sort(np.asarray(moments, dtype=np.float64))
    left = np.searchsorted(at, at - window_s, side="right")
    return pd.DataFrame({"at": at, "admitted": np.arange(1, at.size + 1) - left})


def busiest_window(moments: ArrayLike, window_s: float) -> int:
    """The most moments that any one window holds; 0 without moments."""
    counts = trailing_counts(moments, window_s)["admitted"]
    return int(counts.max()) if len(counts) else 0


def surely_in_one_window(invoked: Sequence[float], completed: Sequence[float], window_s: float) -> list[int]:
    """The largest set of events that one window holds whatever the unseen moment of each was.

    Event i happened at some moment from `invoked[i]` to `completed[i]`. Returned are the places of those that must
    share a window: called no earlier than its beginning and answered before its end, `window_s` later. More of these
    than a limit allows is a conviction that no reordering of concurrent requests explains away.
    """
    begin, end = np.asarray(invoked, dtype=np.float64), np.asarray(completed, dtype=np.float64)
    best = np.array([], dtype=np.int64)
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], end[order]
    for first in range(begin.size):
        if begin.size - first <= best.size:
            break
        inside = first + np.flatnonzero(end[first:] < begin[first] + window_s)
        if inside.size > best.size:
            best = inside
    return [int(place) for place in order[best]]
