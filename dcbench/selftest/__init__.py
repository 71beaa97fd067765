"""Whether an installation holds, here and on this file system: checks, and faults made on purpose.

`trials` tries what `installation` checks and, where it is asked for, the faults of `signals`,
`disks`, `streams`, `at_once` and `damage`. Commands are run as users start them, each in a process
of its own (`processes`), and `remains` says whether what they leave is what undisturbed ones leave.
"""
