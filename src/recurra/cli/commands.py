"""The whole command line: importing a module of commands adds them to `app`; nothing heavy is imported by them."""

from recurra.cli import comparing as comparing
from recurra.cli import diagnosing as diagnosing
from recurra.cli import ensembling as ensembling
from recurra.cli import finding_rate as finding_rate
from recurra.cli import learning as learning
from recurra.cli import merging as merging
from recurra.cli import tuning as tuning
from recurra.cli.app import app

__all__ = ["app"]
