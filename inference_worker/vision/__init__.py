"""From a JPEG to faces and the expressions they show."""
