"""Floor 4: small protocols, named for a need, and the plain values that pass through them."""
