"""From a file to hashed, decoded pixels."""
