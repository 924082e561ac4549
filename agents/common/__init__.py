"""What algorithms share, and the interface by which the rest of the house knows them; pure."""
