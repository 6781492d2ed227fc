"""Word problems in free English, from small worlds with more facts than their question needs."""
