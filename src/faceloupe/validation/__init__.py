"""How well a model does on labeled faces."""
