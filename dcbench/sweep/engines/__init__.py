"""Who carries the runs of a sweep out: this process, workers of this machine, or a cluster.

`base` says what an engine is, `registry` finds one by its name. `dispatch` makes parcels of jobs,
and `work` is what a worker does with one. Each engine is one file.
"""
