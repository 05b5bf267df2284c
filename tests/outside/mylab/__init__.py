"""What a user writes beside the clone, and never in it: a cell, an init, a gate bias, a task and a probe."""
