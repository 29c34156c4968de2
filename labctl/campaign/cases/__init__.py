"""The 42 built-in cases, one module each, in folders by what they are about."""
