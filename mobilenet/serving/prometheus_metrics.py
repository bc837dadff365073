"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

from typing import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "mobilenet_requests", "Requests to /predict", ["status"], registry=self._registry
        )
        self.seconds = Histogram(
            "mobilenet_request_seconds",
            "Seconds from the head of a request to /predict to its answer",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.batch_size = Histogram(
            "mobilenet_batch_size", "Images per batch", buckets=_SIZES, registry=self._registry
        )

    def describe(self, name: str, text: str, **facts: str) -> None:
        """Adds what does not change, as labels."""
        Info(f"mobilenet_{name}", text, registry=self._registry).info(facts)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Adds a gauge that asks for its value."""
        Gauge(f"mobilenet_{name}", text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All counters in Prometheus's text format."""
        text: bytes = generate_latest(self._registry)
        return text
