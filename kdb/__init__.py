"""kdb distils what a large teacher LLM knows about product bundling into a small student LLM."""

__version__ = "0.1.0"
