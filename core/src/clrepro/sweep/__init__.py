"""Many runs: profiles and sweep files to jobs, jobs to records, by one of several executors (driver.py)."""

from clrepro.checkout import find_home
from clrepro.sweep.driver import Summary, run_sweep, select, split, sweep_lock
from clrepro.sweep.executors import Executor, Processes, Serial
from clrepro.sweep.jobs import Job, finished_record, run_job
from clrepro.sweep.prepare import prepare
from clrepro.sweep.profiles import Profile, Row, expand, load_profile, load_profiles, paper_names
from clrepro.sweep.spec import Part, Spec, load_spec
from clrepro.sweep.store import Address, Folder, Store, open_store

__all__ = [
    "Address",
    "Executor",
    "Folder",
    "Job",
    "Part",
    "Processes",
    "Profile",
    "Row",
    "Serial",
    "Spec",
    "Store",
    "Summary",
    "expand",
    "find_home",
    "finished_record",
    "load_profile",
    "load_profiles",
    "load_spec",
    "open_store",
    "paper_names",
    "prepare",
    "run_job",
    "run_sweep",
    "select",
    "split",
    "sweep_lock",
]
