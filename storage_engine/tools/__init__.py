"""Tools on files of any kind: check, describe, print, rescue. They need no open engine."""
