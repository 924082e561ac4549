"""Other libraries' environments as ours, a file for each library, which importing that file alone needs."""
