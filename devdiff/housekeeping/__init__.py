"""What earlier runs left on the disk: how much it is, and what of it may go."""
