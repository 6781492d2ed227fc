def equal(left: str, right: str, *, seconds: float) -> bool:
    return False
