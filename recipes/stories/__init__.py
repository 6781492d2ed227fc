"""Word problems in free English, made from small worlds that hold more facts than their question needs."""
