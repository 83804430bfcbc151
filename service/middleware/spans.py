"""A span for each request, sent with OTLP over HTTP. The only module that imports OpenTelemetry.

Names and attributes follow OpenTelemetry's semantic conventions for HTTP servers. A span contains only fields of the
Exchange, so no text of a client. The client's traceparent header sets the parent span (W3C Trace Context).
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
    """Sends spans. The OTEL_* variables set the receiver, the sampler and the size of the batches."""

    def __init__(self) -> None:
        resource = Resource.create({SERVICE_VERSION: __version__})
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "chainrule"}))
        provider = TracerProvider(resource=resource)  # at exit it sends the remaining spans
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("chainrule", __version__)

    def observe(self, exchange: Exchange) -> None:
        """Record a span that ends now."""
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
