def fits(x):
    return False


def available():
    return False
