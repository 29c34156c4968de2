"""Access and robustness: what devices may not do, and what must not throw them."""
