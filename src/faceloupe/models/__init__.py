"""Networks, their records, and safe loading of their weights."""
