"""What a config may hold, and what each field affects."""
