"""What `benchmarks/gpu.sh` runs, one file a part."""
