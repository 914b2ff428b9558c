"""Which sessions and which knowledge are taken, and how much."""
