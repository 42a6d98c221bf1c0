"""What data parallelism costs on pods: counted, and computed from it."""
