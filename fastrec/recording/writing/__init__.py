"""Writing a recording: the folder and its files, the threads that fill them, rings that outlive it."""
