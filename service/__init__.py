"""The HTTP service of Chainrule: Flask routes, JSON, problems, limits, and the server that runs them."""
