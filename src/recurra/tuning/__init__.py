"""Floor 8: a search over the options of a run."""
