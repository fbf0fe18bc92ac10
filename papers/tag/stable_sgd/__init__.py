"""Stable SGD's folder; the programs are in tag_repro."""
