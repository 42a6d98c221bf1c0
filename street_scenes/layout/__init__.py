"""What stands where: streets, houses, traffic."""
