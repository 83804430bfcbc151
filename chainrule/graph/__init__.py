"""Layer types and networks, and the passes through them: values forward, factors and gradients backward. No wording."""
