"""The console command `chainrule`."""

import argparse
import os
import signal
import sys
from importlib import import_module
from types import FrameType

from service.configuration.addresses import CannotStart, bind
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


BAD_SETTINGS = 2  # the exit code, as argparse has it for a command line that is wrong


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
    try:
        if command == "serve":
            _end_at_a_signal()
            asked["listeners"] = bind(os.environ)
        # Only now, and by name: a health check must not load NumPy and Flask every few seconds, nor a taken port wait
        # for them to be refused.
        run = getattr(import_module("service.commands"), command)
        return int(run(**asked))
    except CannotStart as error:
        reasons = str(error)
        separator = "\n" if "\n" in reasons else " "
        print(f"chainrule does not start:{separator}{reasons}", file=sys.stderr)
        return BAD_SETTINGS


def _end_at_a_signal() -> None:
    """Until gunicorn has handlers of its own, a signal ends the process in order: as process 1 of a container too."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
