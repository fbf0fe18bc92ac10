"""What arrives when: tasks made from data sets, and the order of their examples."""

from clrepro.streams.transforms import apply_map as apply_map
from clrepro.streams.transforms import permutation_map as permutation_map
from clrepro.streams.transforms import rotation_map as rotation_map
def slices(n, k):
    s=n//k; return [slice(i*s,(i+1)*s if i<k-1 else n) for i in range(k)]
