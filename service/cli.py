"""The console command `chainrule`."""

import argparse
import os
import sys
from importlib import import_module

from service.probe import probe

# Before NumPy is first imported: a second BLAS thread per worker costs more CPU than it saves time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

COMMANDS = {
    "serve": "serve the HTTP API; CHAINRULE_BIND sets the address, 127.0.0.1:8000 by default",
    "health": "ask the service on this machine whether it is ready; exit code 0 if it is",
    "config": "show every setting: its value, its default, what it is for",
    "key": "make an API key, and the line for the file of keys",
    "version": "show the version",
}


def main() -> int:
    """Run the command named on the command line; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="chainrule", description="Gradients of feed-forward networks, explained.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    subparsers = {name: commands.add_parser(name, help=text) for name, text in COMMANDS.items()}
    subparsers["key"].add_argument("name", help="whose key it is; appears in the log")
    asked = vars(parser.parse_args())
    command = asked.pop("command")
    if command == "health":
        ready, word = probe()
        print(word, file=sys.stdout if ready else sys.stderr)
        return 0 if ready else 1
    # Only now, and by name: a health check must not load NumPy and Flask every few seconds.
    run = getattr(import_module("service.commands"), command)
    return int(run(**asked))
