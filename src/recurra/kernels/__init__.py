"""Floor 2: pure tensor functions over whole sequences, and the choice between them."""
