"""Networks, layer types, and the passes through them: values forward, factors and gradients backward. No derivation."""
