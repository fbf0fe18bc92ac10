"""What arrives when: tasks made from data sets, and the order of their epochs (`clrepro.streams.order`)."""

from clrepro.streams.order import Epoch as Epoch
from clrepro.streams.order import schedule as schedule
from clrepro.streams.tasks import Stream as Stream
from clrepro.streams.tasks import Task as Task
from clrepro.streams.tasks import flat as flat
from clrepro.streams.tasks import many_permutations as many_permutations
from clrepro.streams.tasks import moved as moved
from clrepro.streams.tasks import permuted as permuted
from clrepro.streams.tasks import rotated as rotated
from clrepro.streams.tasks import slices as slices
from clrepro.streams.tasks import split_classes as split_classes
from clrepro.streams.transforms import apply_map as apply_map
from clrepro.streams.transforms import permutation_map as permutation_map
from clrepro.streams.transforms import rotation_map as rotation_map
