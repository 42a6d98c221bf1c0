"""The pages of the reports: each one HTML file that needs nothing beside it."""
