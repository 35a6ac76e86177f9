"""What the product costs and how it behaves under load, measured on real processes."""
