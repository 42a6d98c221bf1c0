"""From a config to typed options, data and networks."""
