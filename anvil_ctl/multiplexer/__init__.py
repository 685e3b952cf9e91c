"""Several models on one piece of hardware: whichever is asked for is brought in, one at a time."""
