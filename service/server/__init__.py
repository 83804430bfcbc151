"""Processes, connections and HTTP on the wire, down to the call of the application. No endpoint."""
