"""Is this machine fit for what is to run on it?"""
