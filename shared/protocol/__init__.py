"""What crosses a process boundary: messages, their bytes, names, labels and bounds."""
