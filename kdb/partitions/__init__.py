"""From evidence on pairs of items to the bundles to predict."""
