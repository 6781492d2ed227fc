"""The kernel boundary around cells: namespaces or another tier, Landlock, seccomp, limits."""
