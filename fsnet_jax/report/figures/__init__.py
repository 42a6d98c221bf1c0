"""Pictures of a report: examples, curves, sheets."""
