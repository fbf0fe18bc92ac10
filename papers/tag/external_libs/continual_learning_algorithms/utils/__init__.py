"""What the original tree calls utils; the code is in tag_repro.tensorflow and clrepro."""
