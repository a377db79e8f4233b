"""What the operating system gives: files, memory, logging, and libraries made to work on it."""
