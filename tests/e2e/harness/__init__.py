"""What the end-to-end tests and the benchmark stand on: throw-away clusters, the real program, its
API, waiting for states, and the comparison of two databases."""
