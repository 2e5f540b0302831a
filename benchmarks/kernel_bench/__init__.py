"""What `benchmarks/kernels.py` is made of: cases, clock, peers and tables."""
