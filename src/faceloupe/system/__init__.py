"""Services of the operating system: files, memory and logging."""
