"""How one file is examined: what stills and videos share, and each of the two ways."""
