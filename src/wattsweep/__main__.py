"""`python -m wattsweep` is the `wattsweep` command."""

from wattsweep.cli import main

main()
