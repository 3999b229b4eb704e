"""Other systems behind one protocol, each in a process of its own, a file each."""
