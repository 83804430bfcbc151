"""Tracing: requests are traced only if OpenTelemetry's standard environment variables name a receiver.

The libraries are an extra, `chainrule[tracing]`. They are imported only if tracing is on: most deployments have none.
"""

import os
from importlib import import_module
from importlib.util import find_spec

from flask import Flask

from service.configuration.settings import BadSettings
from service.middleware.context import OBSERVERS

RECEIVERS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EXTRA = "opentelemetry"


def wanted() -> bool:
    """Whether the environment variables name a receiver of traces, and do not switch tracing off."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(map(os.environ.get, RECEIVERS))


def check() -> None:
    """Raise BadSettings if tracing is on but its libraries are not installed."""
    if wanted() and find_spec(_EXTRA) is None:
        given = next(filter(os.environ.get, RECEIVERS))
        raise BadSettings(f"{given} is set, but OpenTelemetry is not installed: pip install 'chainrule[tracing]'")


def start(app: Flask) -> None:
    """Trace every request of this process, if tracing is on. Call it after the fork: the exporter is a thread."""
    if wanted():
        app.extensions[OBSERVERS].append(import_module("service.middleware.spans").Spans().observe)
