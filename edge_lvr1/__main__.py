"""`python -m edge_lvr1`: the command line."""

from edge_lvr1.cli import main

main()
