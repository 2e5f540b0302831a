"""`python -m recurra`: the command line, also under torchrun."""

from recurra.cli import main

main()
