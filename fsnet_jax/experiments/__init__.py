"""Many runs: ablation and comparison."""
