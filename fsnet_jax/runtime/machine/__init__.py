"""The memory of the machine: how much is used, and in what pages."""
