"""Networks, their records, and the safe loading of their weights."""
