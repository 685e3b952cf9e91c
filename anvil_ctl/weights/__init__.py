"""What weights are, as plain data: listings, choices among files, facts, manifests. Pure.

The command line and the container that transfers share these records, so this package imports
nothing but the standard library.
"""
