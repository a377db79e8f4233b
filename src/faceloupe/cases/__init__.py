"""Cases: evidence kept as it came, what was found in it, what people said about it, and a log of it all."""
