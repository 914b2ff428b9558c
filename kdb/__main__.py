"""Lets `python -m kdb` stand for the `kdb` command."""

from kdb.cli.main import main

main()
