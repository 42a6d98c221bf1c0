"""What can stand in a street, built of flat faces."""
