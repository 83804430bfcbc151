"""Whether requests are traced: only where the standard variables of OpenTelemetry name a receiver.

The libraries are an extra, `chainrule[tracing]`, loaded by name where they are asked for: most deployments do without.
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
    """Whether the environment names a receiver of traces, and does not switch tracing off."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(map(os.environ.get, RECEIVERS))


def check() -> None:
    """Raise BadSettings where tracing is asked for and its libraries are not installed."""
    if wanted() and find_spec(_EXTRA) is None:
        given = next(filter(os.environ.get, RECEIVERS))
        raise BadSettings(f"{given} is set, but what sends traces is not installed: pip install 'chainrule[tracing]'")


def start(app: Flask) -> None:
    """Have every request of this process traced, where that is wanted. After the fork: what sends is a thread."""
    if wanted():
        app.extensions[OBSERVERS].append(import_module("service.middleware.spans").Spans().observe)
