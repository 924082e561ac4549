"""Many runs as one program: what is swept, the search, the slices that are trained together, and the results."""
