"""The arena: every method of the papers, and yours, on the same streams with the same budget.

spec        what a method is told, and the version of the protocol
streams     streams by name, the same draws for every method
contract    how a method is called, and the rules it must keep
methods     the methods by name: the papers', those of installed packages, a file's
loop        one training loop for all
verdict     who is better than whom, in words
"""

from clrepro.arena.spec import PROTOCOL as PROTOCOL
from clrepro.arena.spec import Spec as Spec
