"""Where a batch's files are analyzed: in this process's children, or on a Ray cluster."""
