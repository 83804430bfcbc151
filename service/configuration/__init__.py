"""What a deployment sets: settings, limits, addresses, and what the machine has. Serves no request."""
