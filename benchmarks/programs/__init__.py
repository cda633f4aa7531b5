"""What runs in a process of its own while the benchmark measures: back-ends, the peers' programs, loads."""
