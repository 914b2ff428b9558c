"""Learners of the log odds that two items share a bundle: one head, one training loop, two encoders."""
