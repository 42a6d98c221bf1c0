"""Many runs: strategies and baselines."""
