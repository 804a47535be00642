"""Figures in Prometheus' text format.

What happens on every request is counted here; everything else is read at the moment of the scrape from the counters
that the services keep anyway, so that counting costs a request nothing.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_Labels = TypeVar("_Labels", bound=tuple[str, ...])
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestFigures(Collector):
    """Requests by route, method and status, and their durations by route.

    Plain numbers, made into Prometheus' families at the scrape: its own counters take a lock for every request, and
    the event loop is one thread.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests: Tally[tuple[str, str, int]] = Tally()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        registry.register(self)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Notes one answer; status 0 is a connection that broke before one."""
        if method not in _METHODS:
            method = "other"  # the client's word must not make new series
        self._requests[route, method, status] += 1
        buckets = self._buckets.get(route)
        if buckets is None:
            buckets = self._buckets[route] = [0] * (len(_BUCKETS) + 1)
        buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def collect(self) -> Iterator[Metric]:
        """Prometheus' own entry."""
        requests = CounterMetricFamily(
            "cryptosense_requests", "Requests answered.", labels=("route", "method", "status")
        )
        for (route, method, status), count in self._requests.items():
            requests.add_metric((route, method, str(status)), count)
        yield requests
        durations = HistogramMetricFamily("cryptosense_request_seconds", "Time to answer.", labels=("route",))
        for route, buckets in self._buckets.items():
            totals = zip((*map(str, _BUCKETS), "+Inf"), accumulate(buckets), strict=True)
            durations.add_metric((route,), [(bound, float(total)) for bound, total in totals], self._seconds[route])
        yield durations


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class StateEvents:
    """Listens to the state: its connection's events go to the log and into counters, once each."""

    def __init__(self, report: Callable[[str, dict[str, object]], None]) -> None:
        self.events: Tally[str] = Tally()
        self.differences: Tally[tuple[str, str]] = Tally()
        self._report = report

    def event(self, name: str, **fields: object) -> None:
        """One of the state's events, with its fields."""
        self.events[name] += 1
        self._report(name, fields)

    def difference(self, service: str, kind: str) -> None:
        """The two sides of the migration disagree."""
        self.differences[service, kind] += 1


class Reading:
    """One family of figures, read when asked for."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Iterable[tuple[tuple[str, ...], float]]],
        *,
        counts: bool = True,
    ) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._read = read
        self._counts = counts

    def family(self) -> Metric:
        """The family as of now."""
        kind = CounterMetricFamily if self._counts else GaugeMetricFamily
        family = kind(self._name, self._text, labels=self._labels)
        for labels, value in self._read():
            family.add_metric(labels, value)
        return family


class Readings(Collector):
    """All families that are read at the scrape."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = tuple(readings)

    def collect(self) -> Iterator[Metric]:
        """Prometheus' own entry."""
        for reading in self._readings:
            yield reading.family()


def new_registry() -> CollectorRegistry:
    """A registry of its own for each app, with the process's own figures in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def of_tally(tally: Mapping[_Labels, int]) -> Iterable[tuple[tuple[str, ...], float]]:
    """Labels and values of a counter whose keys are label values."""
    return [(tuple(str(label) for label in labels), count) for labels, count in tally.items()]
