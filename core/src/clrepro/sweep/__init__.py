"""Many runs: profile files to jobs, jobs to records, by one of several executors (see driver.py)."""

from clrepro.sweep.driver import Summary, run_sweep, select, split, sweep_lock
from clrepro.sweep.executors import Executor, Processes, Serial
from clrepro.sweep.jobs import Job, finished_record, run_job
from clrepro.sweep.prepare import prepare
from clrepro.sweep.profiles import Profile, Row, expand, find_home, load_profile, load_profiles, paper_names

__all__ = [
    "Executor",
    "Job",
    "Processes",
    "Profile",
    "Row",
    "Serial",
    "Summary",
    "expand",
    "find_home",
    "finished_record",
    "load_profile",
    "load_profiles",
    "paper_names",
    "prepare",
    "run_job",
    "run_sweep",
    "select",
    "split",
    "sweep_lock",
]
