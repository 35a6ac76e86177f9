"""Where pictures come from: webcams, Pi cameras, streams, files, a simulation."""
