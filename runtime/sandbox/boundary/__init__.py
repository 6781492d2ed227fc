"""The kernel boundary around cells: namespaces or another tier, Landlock, seccomp and limits, a step a file."""
