"""How a student answers: as text, or by the probability of each pair of items."""
