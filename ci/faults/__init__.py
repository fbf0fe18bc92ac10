"""Fault campaigns: what becomes of results when machines, disks, clocks and other people's files misbehave."""
