"""One file a command: a function from records to records. Stages never import each other."""
