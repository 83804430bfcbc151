"""The console command `chainrule`."""

import argparse
import os
import sys

# Before NumPy is first imported: a second BLAS thread per worker costs more CPU than it saves time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from service.server import serve
from service.settings import BadSettings, read_settings


def main() -> int:
    """Run the command named on the command line; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="chainrule", description="Gradients of feed-forward networks, explained.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the HTTP API; CHAINRULE_BIND sets the address, 127.0.0.1:8000 by default")
    parser.parse_args()
    try:
        settings = read_settings()
    except BadSettings as error:
        sys.exit(f"chainrule does not start:\n{error}")
    serve(settings)
    return 0
