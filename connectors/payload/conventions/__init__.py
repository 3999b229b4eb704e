"""Payload conventions that plants use, one file each: a message becomes samples and events."""
