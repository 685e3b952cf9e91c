"""Which tiers may answer a request and whether an answer is sound: decisions without effects."""
