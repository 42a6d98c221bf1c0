"""What is asked: regions, selectors, stored queries."""
