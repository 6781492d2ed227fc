"""Whether two read answers are the same: values, lists, sets of real numbers, equations, times of day."""
