"""Networks of the baselines: ConfidNet, SynthCP."""
