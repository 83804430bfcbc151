"""The console command `chainrule`."""

import argparse
import os
import signal
import sys
from importlib import import_module
from types import FrameType

from service.configuration.addresses import CannotStart, bind
from service.probe import probe

# Must be set before NumPy is imported: a second BLAS thread in each worker costs more CPU time than it saves.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

COMMANDS = {
    "serve": "serve the HTTP API; CHAINRULE_BIND sets the address, 127.0.0.1:8000 by default",
    "health": "ask the service on this machine whether it is ready; exit code 0 if it is",
    "config": "show every setting: its value, its default, what it is for",
    "key": "make an API key, and the line for the file of keys",
    "version": "show the version",
}


BAD_SETTINGS = 2  # exit code; the same as argparse's for a wrong command line


def main() -> int:
    """Run the command of the command line, and return the exit code."""
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
            _exit_on_signal()
            asked["listeners"] = bind(os.environ)
        # Imported this late because NumPy and Flask load slowly: health checks do not need them, and a taken port is
        # refused without them.
        run = getattr(import_module("service.commands"), command)
        return int(run(**asked))
    except CannotStart as error:
        reasons = str(error)
        separator = "\n" if "\n" in reasons else " "
        print(f"chainrule does not start:{separator}{reasons}", file=sys.stderr)
        return BAD_SETTINGS


def _exit_on_signal() -> None:
    """Let a signal end the process in order until gunicorn installs its handlers, also as process 1 of a container."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
