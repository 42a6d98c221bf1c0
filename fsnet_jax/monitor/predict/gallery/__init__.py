"""The page that shows a prediction: self-contained, worst image first."""
