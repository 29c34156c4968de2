"""Recovery: what comes back by itself after something was away, without a second pairing."""
