"""Networks, and the passes through them: values forward, factors and gradients backward. No wording."""
