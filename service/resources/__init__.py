"""What requests share: slots, memory, deadlines, across threads and processes. No contract."""
