"""TA-A-GEM (Lamers et al., ICCV Workshops 2023): A-GEM with a memory of online clusters, and its command
line.
"""
