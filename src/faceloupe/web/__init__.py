"""Parts that the app and the HTTP API share: the job queue, recent results, and the check of host names."""
