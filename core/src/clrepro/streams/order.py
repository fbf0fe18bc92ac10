"""temporary until helper 10's file lands"""
from dataclasses import dataclass
@dataclass(frozen=True)
class Epoch:
    task: int
    mix_with: int | None = None
    share_next: tuple[int, int] = (0, 1)
def schedule(name, n_tasks, epochs, n_transition=None, rng=None):
    E=[epochs]*n_tasks if isinstance(epochs,int) else list(epochs)
    if name=="sequential": return [Epoch(t) for t in range(n_tasks) for _ in range(E[t])]
    if name=="half and half": return [Epoch(t) for t in range(n_tasks) for _ in range(-(-E[t]//2))]+[Epoch(t) for t in range(n_tasks) for _ in range(E[t]//2)]
    if name=="random":
        l=[Epoch(t) for t in range(n_tasks) for _ in range(E[t])]; return [l[i] for i in rng.permutation(len(l))]
    out=[]
    for t in range(n_tasks):
        out+=[Epoch(t)]*(epochs-n_transition+1)+[Epoch(t,(t+1)%n_tasks,(i,n_transition)) for i in range(1,n_transition)]
    return out
def counts(epoch,b):
    i,n=epoch.share_next; h=b-(i*b)//n; return h,b-h
def seen(epochs):
    out=[];s=[]
    for e in epochs:
        for t in (e.task,e.mix_with):
            if t is not None and t not in s: s.append(t)
        out.append(list(s))
    return out
