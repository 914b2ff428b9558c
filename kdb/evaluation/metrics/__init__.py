"""The metrics, one file a kind: what a session adds to the two sums that each metric is a ratio of."""
