"""Event logs of a shop and its catalogue, read by Polars and cut into sessions."""
