"""Where the model looked."""
