"""What the operating system gives: files, memory and logging."""
