"""A span for each request, sent by OTLP over HTTP. The only module that knows OpenTelemetry.

Names and attributes are those of OpenTelemetry's semantic conventions for HTTP servers. Of a request, a span holds what
an Exchange does: nothing that a client sent, except whose trace it belongs to (W3C Trace Context).
"""

import time
from collections.abc import Iterator

from flask import request
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from chainrule import __version__
from service.middleware.context import Exchange


class Spans:
    """Sends spans as the OTEL_* variables say: where to, how many of them (the sampler), in which batches."""

    def __init__(self) -> None:
        resource = Resource.create({SERVICE_VERSION: __version__})
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "chainrule"}))
        provider = TracerProvider(resource=resource)  # its end, which sends what is left, is that of the process
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("chainrule", __version__)

    def observe(self, exchange: Exchange) -> None:
        """One span, which has just ended."""
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{exchange.method} {exchange.route}",
            context=extract(request.headers),
            kind=SpanKind.SERVER,
            attributes=dict(_attributes(exchange)),
            start_time=end - int(1e9 * exchange.seconds),
        )
        if exchange.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)


def _attributes(exchange: Exchange) -> Iterator[tuple[str, str | int | float]]:
    yield "http.request.method", exchange.method
    yield "http.route", exchange.route
    yield "http.response.status_code", exchange.status
    yield "http.request.body.size", exchange.request_bytes
    yield "http.response.body.size", exchange.response_bytes
    yield "chainrule.request_id", exchange.request_id
    if exchange.problem is not None:
        yield "error.type" if exchange.status >= 500 else "chainrule.problem", exchange.problem
    for stage, seconds in exchange.stages.items():
        yield f"chainrule.stage.{stage}", seconds
