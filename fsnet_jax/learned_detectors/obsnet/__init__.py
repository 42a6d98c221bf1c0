"""ObsNet: an observer of S, taught by attacks on small parts of its images."""
