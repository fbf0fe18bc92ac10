"""Numbers from accuracy matrices and from many seeds."""
