"""A filter: its text over tags, the tree it says, and when it is true."""
