"""The memory of online clusters; see ta_agem_repro.memory."""

from ta_agem_repro.memory import Cluster as Cluster
from ta_agem_repro.memory import ClusteringMechanism as ClusteringMechanism
from ta_agem_repro.memory import ClusteringMemory as ClusteringMemory
from ta_agem_repro.memory import ClusterPool as ClusterPool
