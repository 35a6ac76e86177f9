"""How the expression classifier was made, and fine-tuning it."""
