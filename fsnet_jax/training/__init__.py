"""Steps, losses and optimisers, and the loop over them."""
