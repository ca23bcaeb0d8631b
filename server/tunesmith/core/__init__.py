"""What is decided, without any I/O: data, plans, states, checks, and the ports to the world."""
