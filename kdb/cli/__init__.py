"""The command line: one thin file a command; only this package knows Typer."""
