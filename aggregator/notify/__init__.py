"""What is wrong on a site, told to people: `roommood notify`."""
