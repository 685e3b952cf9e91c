"""Whether an answer is sound, as far as that can be proved from the answer alone.

A check fails what is certainly broken. What it can't judge passes, with a lower score at most.
"""
