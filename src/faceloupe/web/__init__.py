"""What the app and the HTTP API share: the queue of work, recent results, and whose requests are answered."""
