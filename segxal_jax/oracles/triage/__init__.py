"""The worst images of a prediction, for people to label."""
