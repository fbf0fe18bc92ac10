"""What arrives when: tasks made from data sets, and the order of their examples."""

from clrepro.streams.transforms import apply_map as apply_map
from clrepro.streams.transforms import permutation_map as permutation_map
from clrepro.streams.transforms import rotation_map as rotation_map
