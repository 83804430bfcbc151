"""Prometheus metrics of all requests, added up over all workers, including those that have ended.

Each worker counts in its own files (prometheus_client's multiprocess mode), and the admin process adds them up for
each scrape. It first merges the files of ended workers into one file for each kind of metric. Otherwise every restart
of a worker would make all later scrapes slower.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from chainrule import __version__
from service.middleware.context import Exchange
from service.resources.shared import Shared

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REJECTIONS = frozenset(
    {"overloaded", "memory", "work-timed-out", "request-timeout", "too-large", "limit-exceeded", "unauthorized"}
)

_DEAD = "0"  # in place of a process id, in the names of the merged files
_ADDED_UP = ("counter", "histogram")  # kinds whose counts stay when their process ends
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_BYTES = tuple(4.0**power for power in range(4, 14))  # 256 bytes to 64 MiB
_PARAMETERS = tuple(10.0**power for power in range(1, 8))


class Metrics:
    """The metrics of this process; with a directory, of all processes that are forked from it."""

    def __init__(self, directory: Path | None = None) -> None:
        if directory is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)  # prometheus_client creates its files there
            values.ValueClass = values.MultiProcessValue()
        self.registry = CollectorRegistry()
        self._requests = self._counter("http_requests", "Requests answered.", "route", "method", "code")
        self._rejected = self._counter(
            "http_requests_rejected", "Requests refused, by problem type; memory, if memory was short.", "reason"
        )
        self._multiply_adds = self._counter("multiply_adds", "Multiply-adds of the matrix products requested.")
        self._work_seconds = self._histogram("predicted_work_seconds", "Predicted work of requests.", _SECONDS)
        self._seconds = self._histogram(
            "http_request_duration_seconds", "Time from request head to answer.", _SECONDS, "route", "method"
        )
        self._stages = self._histogram(
            "request_stage_duration_seconds", "Time of each stage, as in Server-Timing.", _SECONDS, "stage"
        )
        self._request_bytes = self._histogram("http_request_body_bytes", "Bodies of requests.", _BYTES)
        self._response_bytes = self._histogram("http_response_body_bytes", "Bodies of answers.", _BYTES)
        self._parameters = self._histogram("network_parameters", "Weights and biases of networks.", _PARAMETERS)
        self._requests_of = cache(self._requests.labels)  # each look-up of labels takes ten calls
        self._seconds_of, self._stages_of = cache(self._seconds.labels), cache(self._stages.labels)
        self._add_gauges()

    def _add_gauges(self) -> None:
        self._in_flight = self._gauge("requests_in_flight", "Requests being computed in a slot.", "work")
        self._waiting = self._gauge("requests_waiting", "Requests waiting for a slot.")
        self._limit = self._gauge("requests_in_flight_limit", "Slots: requests that may be computed at a time.")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"chainrule_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"chainrule_{name}", meaning, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"chainrule_{name}", meaning, labels, multiprocess_mode="livesum", registry=self.registry)

    def observe(self, exchange: Exchange) -> None:
        """Count one request."""
        self._requests_of(exchange.route, exchange.method, str(exchange.status)).inc()
        self._seconds_of(exchange.route, exchange.method).observe(exchange.seconds)
        for stage, seconds in exchange.stages.items():
            self._stages_of(stage).observe(seconds)
        if exchange.rejected in REJECTIONS:
            self._rejected.labels(exchange.rejected).inc()
        if exchange.request_bytes:
            self._request_bytes.observe(exchange.request_bytes)
        self._response_bytes.observe(exchange.response_bytes)
        if exchange.parameters is not None:
            self._parameters.observe(exchange.parameters)
        if exchange.multiply_adds is not None:
            self._multiply_adds.inc(exchange.multiply_adds)
        if exchange.work_seconds is not None:
            self._work_seconds.observe(exchange.work_seconds)

    def start_worker(self, concurrency: int) -> None:
        """Set the number of slots of this process, and its other gauges to 0."""
        self._limit.set(concurrency)
        self.in_flight(0, 0, 0)

    def in_flight(self, small: int, big: int, waiting: int) -> None:
        """Set how many requests of each kind this process computes, and how many wait."""
        self._in_flight.labels("small").set(small)
        self._in_flight.labels("big").set(big)
        self._waiting.set(waiting)


def new_directory() -> Path:
    """Create an empty directory for the files of the metrics, in memory (/dev/shm) if possible."""
    memory = Path("/dev/shm")  # noqa: S108
    parent = memory if os.access(memory, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix=f"chainrule-metrics-{os.getpid()}-", dir=parent))


def remove_directory(directory: Path) -> None:
    """Remove a directory and its files; ignore missing ones."""
    shutil.rmtree(directory, ignore_errors=True)


def exposition(directory: Path, shared: Shared) -> bytes:
    """The metrics of all processes, in Prometheus' text format."""
    _merge_dead_workers(directory)
    registry = CollectorRegistry()
    registry.register(_Workers(directory))
    registry.register(_State(shared))
    return generate_latest(registry)


class _Workers:
    """A collector of the workers' metrics, added up."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """The current values."""
        yield from MultiProcessCollector.merge(map(str, _files(self._directory)))


class _State:
    """A collector of metrics that no worker counts: the state of the service."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def collect(self) -> Iterator[Metric]:
        """The current values."""
        build = GaugeMetricFamily("chainrule_build_info", "Always 1; the label is the version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily("chainrule_workers", "Workers that take requests.", len(self._shared.workers))
        memory = self._shared.memory
        yield GaugeMetricFamily("chainrule_memory_claimed_bytes", "Memory budget claimed.", memory.claimed())
        yield GaugeMetricFamily("chainrule_memory_budget_bytes", "Memory budget of all processes.", memory.total)
        yield GaugeMetricFamily("chainrule_draining", "1 while the service is stopping.", int(self._shared.draining))


def _files(directory: Path) -> list[Path]:
    """The files with counts. A file that a worker has just created is still empty, and cannot be read yet."""
    return [file for file in directory.glob("*.db") if file.stat().st_size]


def _merge_dead_workers(directory: Path) -> None:
    """Merge the files of processes that have ended into one file for each kind of metric, and remove them."""
    for file in _files(directory):
        kind, _, pid = file.stem.rpartition("_")
        if pid == _DEAD or _is_alive(int(pid)):
            continue
        if kind in _ADDED_UP:
            _add(file, directory / f"{kind}_{_DEAD}.db")
        file.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _add(file: Path, total: Path) -> None:
    sums = MmapedDict(str(total))
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()
