"""The program inside the store image: it alone writes into the volume of the weights."""
