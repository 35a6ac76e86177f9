"""The live page and the JSON API: reads Redis with a reader's rights, serves browsers."""
