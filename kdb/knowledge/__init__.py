"""Knowledge about bundles: its formats, and how it is found again."""
