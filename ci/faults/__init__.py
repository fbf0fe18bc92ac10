"""Fault campaigns: what becomes of results when machines, disks, clocks and others' files misbehave."""
