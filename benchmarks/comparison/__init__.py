"""What comparing every failure detector costs: by time, and by count."""
