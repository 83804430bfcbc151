"""Pages for people: the explorer, problem types, troubleshooting, the API reference. No JSON."""
