"""Other libraries' environments as ours and ours as theirs, a file for each; importing it needs that library alone."""
