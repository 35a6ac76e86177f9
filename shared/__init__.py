"""What every roommood process agrees on. Imports no component."""
