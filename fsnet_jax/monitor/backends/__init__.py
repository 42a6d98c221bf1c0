"""What runs a monitor's networks: one file each behind `monitor.Backend`."""
