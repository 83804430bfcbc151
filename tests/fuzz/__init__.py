"""Valid requests with a few changes, and checks whether the answers to them can be true."""
