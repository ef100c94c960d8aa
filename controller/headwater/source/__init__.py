"""Git: revisions of the watched branch, hints that it moved, and answers as notes."""
