"""The HTTP face of Chainrule: Flask routes, JSON, problems, limits, and the server that runs them."""
