"""The shell scripts: what the authors ran, line by line, and the program that runs it."""
