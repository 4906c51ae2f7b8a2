"""What lets a model live in another program: runs in the background, copies in other processes."""
