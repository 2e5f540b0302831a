"""The rows of a global batch that one process of several takes."""

from __future__ import annotations

from typing import NamedTuple

from recurra.core.errors import ConfigError


class Shard(NamedTuple):
    """Process `rank` of `world_size` takes rows rank, rank + world_size, ... of every global batch."""

    rank: int = 0
    world_size: int = 1

    def require_rows(self, batch_size: int) -> None:
        """Check that every process gets at least one row of a full batch.

        Raises:
            ConfigError: fewer rows than processes.
        """
        if batch_size < self.world_size:
            raise ConfigError(
                f"batch_size={batch_size} is less than the {self.world_size} processes: the batch is shared out by "
                f"rows. Set training.batch_size={self.world_size} or more."
            )


ONE_PROCESS = Shard()
