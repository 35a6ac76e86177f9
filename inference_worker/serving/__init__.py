"""The worker's two sides: frames taken on credit, results kept until acknowledged."""
