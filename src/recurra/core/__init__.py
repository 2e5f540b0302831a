"""Floor 1: the types that everything passes through."""
