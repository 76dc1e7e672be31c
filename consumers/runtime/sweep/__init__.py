"""The sweep: it finishes what others left. One file a job; a new job is one more file, and a line in `run.py`."""
