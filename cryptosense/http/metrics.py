"""Figures in Prometheus' text format.

What happens on every request is counted here; everything else is read at the moment of the scrape from the counters
that the services keep anyway, so that counting costs a request nothing.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_Labels = TypeVar("_Labels", bound=tuple[str, ...])
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestFigures:
    """Requests by route, method and status, and their durations by route."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "cryptosense_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "cryptosense_request_seconds", "Time to answer.", ("route",), buckets=_BUCKETS, registry=registry
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Notes one answer; status 0 is a connection that broke before one."""
        pair = self._known.get((route, method, status))
        if pair is None:
            method = method if method in _METHODS else "other"  # the client's word must not make new series
            pair = (self._requests.labels(route, method, str(status)), self._seconds.labels(route))
            if len(self._known) < 4_096:
                self._known[route, method, status] = pair
        pair[0].inc()
        pair[1].observe(seconds)


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
