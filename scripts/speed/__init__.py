"""What the benchmarks of speed share: figures with goals, tables of them, and peers in an environment of their own."""
