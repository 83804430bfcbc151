"""What is done for every request alike: ids, keys, encodings, logs, metrics, traces. No endpoint."""
