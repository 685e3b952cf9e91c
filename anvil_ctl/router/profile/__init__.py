"""What is known of the quality of each tier, by class of work: rows, their file, their origin."""
