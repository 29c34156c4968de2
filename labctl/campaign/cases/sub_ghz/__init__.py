"""868 MHz: what keeps the band free for others, and keeps devices on it."""
