"""Programs that read the files of past runs."""
