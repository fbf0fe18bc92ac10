"""What TA-A-GEM remembers: pools of clusters per class, their evictions, and the draw of reference
batches.
"""

from ta_agem_repro.memory.cluster import Cluster as Cluster
from ta_agem_repro.memory.cluster import Stored as Stored
from ta_agem_repro.memory.clustering import ClusteringMemory as ClusteringMemory
from ta_agem_repro.memory.pool import ClusteringMechanism as ClusteringMechanism
from ta_agem_repro.memory.pool import ClusterPool as ClusterPool
from ta_agem_repro.memory.reservoirs import ClassReservoirs as ClassReservoirs
