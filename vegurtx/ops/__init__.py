"""What makes a proxy fit to run: the access log, metrics, the admin API, and worker processes."""
